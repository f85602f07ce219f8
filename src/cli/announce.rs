//! What is printed before a model starts to compute.

use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};

use super::chat;
use super::hidden_labels;
use super::output::{note, say};
use super::pins;
use crate::dataset::DatasetStore;
use crate::engine::EngineError;
use crate::evaluate::{FittedTask, Plan};
use crate::store::{Answers, ModelRecord};

/// What a run is about to do.
pub struct Announcement<'a> {
    pub model: &'a ModelRecord,
    /// Whether the model's files name an end-of-text token.
    pub names_end_of_text: bool,
    /// Approximate time per token, if it is known. Measuring it takes a moment.
    pub seconds_per_token: &'a dyn Fn() -> Result<Option<f64>, EngineError>,
    pub tasks: &'a [FittedTask],
    /// The work that is left.
    pub plan: &'a Plan,
    /// The requests that are answered already.
    pub answers: Answers,
    /// Where the rows are from.
    pub store: &'a DatasetStore,
    /// `--num-fewshot`.
    pub num_fewshot: Option<usize>,
}

impl Announcement<'_> {
    /// Prints the announcement.
    pub fn say(&self) {
        self.say_model();
        self.say_data();
        self.say_plan();
    }

    fn say_model(&self) {
        let engine = &self.model.engine;
        let sample = if self.model.sample { " (built-in sample)" } else { "" };
        let numerics = &engine.numerics;
        let facts = [
            engine.architecture.clone(),
            engine.parameters.map(|count| format!("{} parameters", HumanCount(count))),
            numerics.dtype.as_ref().map(|dtype| match &numerics.device {
                Some(device) => format!("{dtype} on {device}"),
                None => dtype.clone(),
            }),
        ];
        let facts = facts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let kernels = numerics.kernels.as_ref().map(|name| format!(" ({name} kernels)"));
        note!("{}{sample}: {facts}{}", engine.name, kernels.unwrap_or_default());
    }

    fn say_data(&self) {
        let Self { tasks, store, num_fewshot, .. } = self;
        if tasks.iter().any(|fitted| store.is_sampled(&fitted.task.dataset)) {
            say!("note: no --datasets: the rows are built-in samples, and the numbers are not scores");
        }
        if let Some(asked) = num_fewshot {
            let unchanged = tasks.iter().filter(|fitted| fitted.requests.num_fewshot != *asked);
            let unchanged: Vec<&str> = unchanged.map(|fitted| &*fitted.task.name).collect();
            if !unchanged.is_empty() {
                note!(
                    "note: --num-fewshot {asked} does not change {}, which declare 0 shots",
                    unchanged.join(", ")
                );
            }
        }
        chat::note(tasks.iter().map(|fitted| fitted.requests.without_system).sum());
        hidden_labels::note(tasks.iter().map(|fitted| (&*fitted.task.name, &fitted.requests)));
        pins::announce(tasks.iter().flat_map(FittedTask::splits));
        let truncated: usize = tasks.iter().map(|fitted| fitted.truncated.len()).sum();
        if truncated > 0 {
            say!(
                "warning: {truncated} requests are longer than the model's context and are cut from the left; run.json lists them"
            );
        }
        if !self.names_end_of_text && tasks.iter().any(FittedTask::generates) {
            say!(
                "warning: the model's files name no end-of-text token: only the tokenizer's, if any, and stop strings end a text"
            );
        }
    }

    fn say_plan(&self) {
        let Self { plan, answers, .. } = self;
        let count = |n: usize| HumanCount(n as u64);
        let known = answers.computed + answers.from_cache;
        if known > 0 {
            note!(
                "{} of {} requests are answered already: {} in this run's journal, {} by other runs, in the response cache",
                count(known),
                count(answers.requests),
                count(answers.kept_before),
                count(known - answers.kept_before)
            );
        }
        let things = |n: usize, one: &str| format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" });
        let size = format!("{}, {}", things(self.tasks.len(), "task"), things(plan.documents, "document"));
        if plan.requests == 0 {
            note!("{size}, nothing left to compute");
            return;
        }
        note!(
            "{size}, {}; {} tokens to compute ({} if each request ran alone), at most {} to write",
            things(plan.requests, "request"),
            count(plan.tokens_planned),
            count(plan.tokens_alone),
            count(plan.tokens_to_write)
        );
        match (self.seconds_per_token)() {
            Ok(Some(seconds)) => {
                let tokens = plan.expected_tokens();
                note!("expected to take about {}", HumanDuration(Duration::from_secs_f64(tokens * seconds)));
            }
            Ok(None) => {}
            Err(error) => note!("note: how long it takes cannot be told: {error}"),
        }
    }
}

//! What is said before a model is put to work.

use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};

use super::model_files::ModelSource;
use super::output::say;
use super::pins;
use crate::dataset::DatasetStore;
use crate::evaluate::{Plan, Prepared};
use crate::model::Model;
use crate::store::Answers;

/// What a run is about to do.
pub struct Announcement<'a> {
    /// The model.
    pub model: &'a Model,
    /// Where it is from.
    pub source: &'a ModelSource,
    /// The tasks.
    pub prepared: &'a [Prepared],
    /// What is left to do.
    pub plan: &'a Plan,
    /// What is done.
    pub answers: Answers,
    /// Where the rows are from.
    pub store: &'a DatasetStore,
    /// `--num-fewshot`.
    pub num_fewshot: Option<usize>,
}

impl Announcement<'_> {
    /// Says it.
    pub fn say(&self) {
        self.say_model();
        self.say_data();
        self.say_plan();
    }

    fn say_model(&self) {
        let facts = self.model.facts();
        let sample = if self.source.sample { " (built-in sample)" } else { "" };
        say!(
            "{}{sample}: {}, {} parameters, {} on {} ({} kernels)",
            facts.name,
            facts.architecture,
            HumanCount(facts.parameters),
            facts.dtype,
            facts.device,
            facts.kernels
        );
    }

    fn say_data(&self) {
        let Self { prepared, store, num_fewshot, .. } = self;
        if prepared.iter().any(|p| store.is_sampled(&p.task.dataset)) {
            say!("note: no --datasets: the rows are built-in samples, and the numbers are not scores");
        }
        if let Some(asked) = num_fewshot {
            let kept = prepared.iter().filter(|p| p.requests.num_fewshot != *asked);
            let kept: Vec<&str> = kept.map(|p| &*p.task.name).collect();
            if !kept.is_empty() {
                say!(
                    "note: --num-fewshot {asked} does not change {}, which declare 0 shots",
                    kept.join(", ")
                );
            }
        }
        pins::announce(prepared.iter().flat_map(Prepared::splits));
        let truncated: usize = prepared.iter().map(|task| task.truncated.len()).sum();
        if truncated > 0 {
            say!(
                "warning: {truncated} requests are longer than the model's context and are cut from the left; run.json lists them"
            );
        }
        let writes = prepared.iter().any(|task| task.tokens.iter().flatten().any(|r| r.max_new_tokens() > 0));
        if writes && self.model.facts().eos_token_ids.is_empty() {
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
            say!(
                "{} of {} requests are answered already: {} in this run's journal, {} by other runs, in the response cache",
                count(known),
                count(answers.requests),
                count(answers.kept_before),
                count(known - answers.kept_before)
            );
        }
        let things = |n: usize, one: &str| format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" });
        let size = format!("{}, {}", things(self.prepared.len(), "task"), things(plan.documents, "document"));
        if plan.requests == 0 {
            say!("{size}, nothing left to compute");
            return;
        }
        say!(
            "{size}, {}; {} tokens to compute ({} if each request ran alone), at most {} to write",
            things(plan.requests, "request"),
            count(plan.tokens_planned),
            count(plan.tokens_alone),
            count(plan.tokens_to_write)
        );
        match self.model.seconds_per_token() {
            Ok(seconds) => {
                let tokens = plan.expected_tokens();
                say!("expected to take about {}", HumanDuration(Duration::from_secs_f64(tokens * seconds)));
            }
            Err(error) => say!("how long it takes cannot be told: {error}"),
        }
    }
}

//! What is printed before a model starts to compute.

use indicatif::HumanCount;

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
        let numerics = &engine.numerics;
        say_model(&ModelFacts {
            name: &engine.name,
            sample: self.model.sample,
            architecture: engine.architecture.as_deref(),
            parameters: engine.parameters,
            dtype: numerics.dtype.as_deref(),
            device: numerics.device.as_deref(),
            kernels: numerics.kernels.as_deref(),
        });
    }

    fn say_data(&self) {
        let Self { tasks, store, num_fewshot, names_end_of_text, .. } = *self;
        if tasks.iter().any(|fitted| store.is_sampled(&fitted.task.dataset)) {
            say!("note: no --datasets: the rows are built-in samples, and the numbers are not scores");
        }
        if self.model.sample && tasks.iter().any(|fitted| !store.is_sampled(&fitted.task.dataset)) {
            say!("note: no --model: the built-in sample model answers, and the numbers are no real model's");
        }
        say_prompts(tasks, num_fewshot, names_end_of_text);
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
                note!("expected to take about {}", shown_time(tokens * seconds));
            }
            Ok(None) => {}
            Err(error) => note!("note: how long it takes cannot be told: {error}"),
        }
    }
}

/// What is known of a model before it computes.
pub struct ModelFacts<'a> {
    pub name: &'a str,
    /// Whether it is the built-in sample.
    pub sample: bool,
    pub architecture: Option<&'a str>,
    pub parameters: Option<u64>,
    pub dtype: Option<&'a str>,
    pub device: Option<&'a str>,
    pub kernels: Option<&'a str>,
}

/// Says which model it is, and how it is computed.
pub fn say_model(model: &ModelFacts<'_>) {
    let sample = if model.sample { " (built-in sample)" } else { "" };
    let facts = [
        model.architecture.map(str::to_string),
        model.parameters.map(|count| format!("{} parameters", HumanCount(count))),
        model.dtype.map(|dtype| match model.device {
            Some(device) => format!("{dtype} on {device}"),
            None => dtype.to_string(),
        }),
    ];
    let facts = facts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let kernels = model.kernels.map(|name| format!(" ({name} kernels)"));
    note!("{}{sample}: {facts}{}", model.name, kernels.unwrap_or_default());
}

/// Says what is unusual about the prompts and the rows that they are of.
pub fn say_prompts(tasks: &[FittedTask], num_fewshot: Option<usize>, names_end_of_text: bool) {
    if let Some(asked) = num_fewshot {
        let unchanged = tasks.iter().filter(|fitted| fitted.requests.num_fewshot != asked);
        let unchanged: Vec<&str> = unchanged.map(|fitted| &*fitted.task.name).collect();
        if !unchanged.is_empty() {
            note!(
                "note: --num-fewshot {asked} does not change {}, which declare 0 shots",
                unchanged.join(", ")
            );
        }
    }
    chat::note(tasks.iter().map(|fitted| fitted.requests.without_system).sum());
    hidden_labels::warn(tasks.iter().map(|fitted| (&*fitted.task.name, &fitted.requests)));
    pins::announce(tasks.iter().flat_map(FittedTask::splits));
    let truncated: usize = tasks.iter().map(|fitted| fitted.truncated.len()).sum();
    if truncated > 0 {
        say!(
            "warning: {truncated} requests are longer than the model's context and are cut from the left; run.json lists them"
        );
    }
    if !names_end_of_text && tasks.iter().any(FittedTask::generates) {
        say!(
            "warning: the model's files name no end-of-text token: only the tokenizer's, if any, and stop strings end a text"
        );
    }
}

/// An expected time in words, in as many digits as it is worth.
pub fn shown_time(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] =
        [(86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")];
    // From two of a unit on: 90 minutes say more than 1.5 hours.
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= 2.0 * size).unwrap_or((1.0, "seconds"));
    let count = seconds / size;
    match unit {
        _ if seconds < 1.0 => "less than a second".into(),
        "seconds" if count < 1.5 => "1 second".into(),
        "days" | "hours" if count < 10.0 => format!("{count:.1} {unit}"),
        _ => format!("{count:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::shown_time;

    #[test]
    fn times_have_a_unit_that_says_something() {
        let shown = [0.2, 1.2, 45.0, 119.0, 150.0, 5400.0, 9000.0, 100_000.0, 200_000.0, 4e6].map(shown_time);
        let expected = [
            "less than a second",
            "1 second",
            "45 seconds",
            "119 seconds",
            "2 minutes",
            "90 minutes",
            "2.5 hours",
            "28 hours",
            "2.3 days",
            "46 days",
        ];
        assert_eq!(shown, expected);
    }
}

//! The metrics that task files may name. To add one, write its function and add a row.

use super::aggregation::{Aggregation, MEAN, PERPLEXITY};
use super::choice::{self, Scored};
use super::target::{self, TargetScore};
use super::text::{Arguments, TextMetric, exact_match};
use super::value::Value;
use crate::task::OutputType;

/// What a metric reads, and what it computes.
#[derive(Clone, Copy)]
pub enum Function {
    /// The scores of all choices.
    Choices {
        value: fn(&Scored<'_>) -> Result<Value, String>,
        /// Index of the model's choice by this metric.
        answer: Option<fn(&Scored<'_>) -> usize>,
    },
    /// The score of the target.
    Target {
        value: fn(&TargetScore) -> Value,
        /// What greedy decoding would generate.
        answer: Option<fn(&TargetScore) -> &'static str>,
    },
    /// A generated text after the filters, compared with the right ones. Called with the metric's arguments.
    Text(fn(&Arguments) -> Result<TextMetric, String>),
}

/// A metric.
pub struct Metric {
    /// As task files name it.
    pub name: &'static str,
    /// The output type that a task must have.
    pub needs: OutputType,
    pub function: Function,
    /// The aggregation, unless the task file names another.
    pub aggregation: &'static Aggregation,
    /// Whether each document is either right (1) or wrong (0).
    pub decides: bool,
    pub higher_is_better: bool,
}

/// All metrics. Metrics that need different output types may share a name.
pub static METRICS: [Metric; 8] = [
    Metric {
        name: "acc",
        needs: OutputType::MultipleChoice,
        function: Function::Choices { value: choice::accuracy, answer: Some(choice::likeliest) },
        aggregation: &MEAN,
        decides: true,
        higher_is_better: true,
    },
    Metric {
        name: "acc_norm",
        needs: OutputType::MultipleChoice,
        function: Function::Choices {
            value: choice::accuracy_by_characters,
            answer: Some(choice::likeliest_by_characters),
        },
        aggregation: &MEAN,
        decides: true,
        higher_is_better: true,
    },
    Metric {
        name: "acc_bytes",
        needs: OutputType::MultipleChoice,
        function: Function::Choices {
            value: choice::accuracy_by_bytes,
            answer: Some(choice::likeliest_by_bytes),
        },
        aggregation: &MEAN,
        decides: true,
        higher_is_better: true,
    },
    Metric {
        name: "exact_match",
        needs: OutputType::MultipleChoice,
        function: Function::Choices { value: choice::greedy_match, answer: None },
        aggregation: &MEAN,
        decides: true,
        higher_is_better: true,
    },
    Metric {
        name: "true_mass",
        needs: OutputType::MultipleChoice,
        function: Function::Choices { value: choice::true_mass, answer: None },
        aggregation: &MEAN,
        decides: false,
        higher_is_better: true,
    },
    Metric {
        name: "acc",
        needs: OutputType::Loglikelihood,
        function: Function::Target { value: target::is_greedy, answer: Some(target::greedy_answer) },
        aggregation: &MEAN,
        decides: true,
        higher_is_better: true,
    },
    Metric {
        name: "perplexity",
        needs: OutputType::Loglikelihood,
        function: Function::Target { value: target::loglikelihood, answer: None },
        aggregation: &PERPLEXITY,
        decides: false,
        higher_is_better: false,
    },
    Metric {
        name: "exact_match",
        needs: OutputType::GenerateUntil,
        function: Function::Text(exact_match),
        aggregation: &MEAN,
        decides: true,
        higher_is_better: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_what_its_task_asks_for_and_stands_once() {
        for (place, metric) in METRICS.iter().enumerate() {
            let reads = match metric.function {
                Function::Choices { .. } => OutputType::MultipleChoice,
                Function::Target { .. } => OutputType::Loglikelihood,
                Function::Text(_) => OutputType::GenerateUntil,
            };
            assert_eq!(reads, metric.needs, "{}", metric.name);
            let same = |other: &&Metric| (other.name, other.needs) == (metric.name, metric.needs);
            assert_eq!(METRICS.iter().filter(same).count(), 1, "row {place}: {}", metric.name);
        }
    }
}

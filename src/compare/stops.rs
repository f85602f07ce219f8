//! The cost of stops that generations continued past.

use super::align::Aligned;
use crate::statistics::mean;
use crate::vocabulary::{ComparedRun, PassedStops};

/// A task whose generations were scored up to some stops and beyond them.
#[derive(Debug, Clone, PartialEq)]
pub struct StopCost {
    pub task: String,
    /// The stops, and the metrics.
    pub passed: PassedStops,
    /// Each run whose generations continued past them.
    pub runs: Vec<StopScores>,
}

/// The scores of a run, as fractions.
#[derive(Debug, Clone, PartialEq)]
pub struct StopScores {
    pub name: String,
    /// Up to the stops.
    pub up_to: f64,
    /// Beyond them, by each metric.
    pub beyond: Vec<f64>,
}

/// The tasks for which a run has generations beyond their stops, over the documents that are compared.
pub fn stop_costs(runs: &[ComparedRun], tasks: &[Aligned]) -> Vec<StopCost> {
    let mut found = Vec::new();
    for aligned in tasks {
        let passed = runs.iter().find_map(|run| run.task(&aligned.task)?.passed.clone());
        let Some(passed) = passed else { continue };
        let scores = runs.iter().zip(&aligned.places).filter_map(|(run, places)| {
            let task = run.task(&aligned.task).filter(|task| task.passed.as_ref() == Some(&passed))?;
            let score = |metric: &str| {
                let at = task.metric(metric)?;
                let values = places.as_ref()?.iter().map(|place| task.documents[*place].values[at]);
                Some(mean(&values.collect::<Vec<f64>>()))
            };
            let beyond: Option<Vec<f64>> = passed.beyond.iter().map(|(metric, _)| score(metric)).collect();
            Some(StopScores { name: run.name.clone(), up_to: score(&passed.up_to)?, beyond: beyond? })
        });
        let scores = scores.collect();
        found.push(StopCost { task: aligned.task.clone(), passed, runs: scores });
    }
    found
}

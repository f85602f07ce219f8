//! The table at the end of a run.

use super::table::{Cell, Format, Table};
use crate::vocabulary::{SuiteRecord, TaskRecord};

/// The suite's columns, if there is a suite; the tasks' metrics; and what must be known to read them.
pub fn run_summary(model: &str, tasks: &[TaskRecord], suite: Option<&SuiteRecord>) -> String {
    let mut parts = Vec::new();
    let sampled = tasks.iter().any(|task| task.sample);
    if sampled {
        parts.push(
            "These are built-in samples, not the benchmarks: the numbers below are not scores.".to_string(),
        );
    }
    if let Some(suite) = suite {
        let mut head = vec!["Model".to_string(), "Average".to_string()];
        head.extend(suite.columns.iter().map(|(name, _)| name.clone()));
        let ranked = suite.unranked.is_empty();
        let mut row = vec![Cell::Text(model.to_string()), Cell::Score(suite.average.filter(|_| ranked))];
        row.extend(suite.columns.iter().map(|(_, score)| Cell::Score(*score)));
        parts.push(format!("{}\n{}", suite.title, Table { head, rows: vec![row] }.render(Format::Table)));
        if !ranked {
            parts.push(format!("Not ranked, and without an average: {}.", suite.unranked.join("; ")));
        }
    }
    parts.push(task_table(tasks).render(Format::Table));
    parts.join("\n\n")
}

fn task_table(tasks: &[TaskRecord]) -> Table {
    let head = ["Task", "Metric", "Score", "Stderr", "Documents", "Shots"].map(str::to_string).to_vec();
    let mut rows = Vec::new();
    for task in tasks {
        for (name, estimate) in &task.estimates {
            rows.push(vec![
                Cell::Text(task.task.to_string()),
                Cell::Text(name.clone()),
                Cell::Text(format!("{:.4}", estimate.value)),
                Cell::Text(estimate.stderr.map_or("-".into(), |stderr| format!("{stderr:.4}"))),
                Cell::Text(match estimate.n == task.available {
                    true => estimate.n.to_string(),
                    false => format!("{} of {}", estimate.n, task.available),
                }),
                Cell::Text(task.num_fewshot.to_string()),
            ]);
        }
    }
    Table { head, rows }
}

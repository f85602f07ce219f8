//! The table at the end of a run.

use super::drawing::wrapped;
use super::group_table::group_table;
use super::paper::Paper;
use super::stops::shown_stops;
use super::table::{Cell, Format, Table};
use crate::vocabulary::{Estimate, GroupRecord, Response, SuiteRecord, TaskRecord};

/// What the table at the end of a run is of.
pub struct RunSummary<'a> {
    /// The run's name.
    pub name: &'a str,
    pub tasks: &'a [TaskRecord],
    pub groups: &'a [GroupRecord],
    pub suite: Option<&'a SuiteRecord>,
    /// Whether tasks that share a tag have a row each.
    pub by_subject: bool,
}

/// The tasks' metrics, those of groups and the suite's row below them, and notes that are needed to read them.
pub fn run_summary(summary: &RunSummary<'_>, paper: Paper) -> String {
    let RunSummary { name, tasks, groups, suite, by_subject } = *summary;
    let drawn = |table: Table, dispensable: &[&str]| table.render_on(Format::Table, paper, dispensable);
    let mut parts = vec![drawn(task_table(tasks, by_subject), &["Shots"])];
    parts.extend(group_table(groups, paper));
    let mut notes: Vec<String> = Vec::new();
    if let Some(suite) = suite {
        let mut head = vec!["Model".to_string(), "Average".to_string()];
        head.extend(suite.columns.iter().map(|(name, _)| name.clone()));
        let ranked = suite.unranked.is_empty();
        let mut row = vec![Cell::Text(name.to_string()), Cell::Score(suite.average.filter(|_| ranked))];
        row.extend(suite.columns.iter().map(|(_, score)| Cell::Score(*score)));
        parts.push(format!("{}\n{}", suite.title, drawn(Table { head, rows: vec![row] }, &[])));
        if !ranked {
            notes.push(format!("Not ranked, and without an average: {}.", suite.unranked.join("; ")));
        }
    }
    notes.extend(tasks.iter().filter_map(passed_stops));
    notes.extend(near_ties(tasks));
    if tasks.iter().any(|task| task.sample) {
        notes.push("These are built-in samples, not the benchmarks: the numbers are not scores.".to_string());
    }
    parts.extend(notes.into_iter().map(|note| match paper.width {
        Some(width) => wrapped(&note, width).join("\n"),
        None => note,
    }));
    parts.join("\n\n")
}

/// The cost of the stops that generations continued past; `None` if there are none.
fn passed_stops(task: &TaskRecord) -> Option<String> {
    let passed = task.passed.as_ref()?;
    let score = |metric: &str| {
        let estimate = task.estimates.iter().find(|(name, _)| name == metric);
        estimate.map(|(_, estimate)| 100.0 * estimate.value)
    };
    let up_to = score(&passed.up_to)?;
    let went_on = |response: &Response| match response {
        Response::Generation { num_tokens, beyond, .. } => {
            beyond.as_ref().is_some_and(|beyond| beyond.num_tokens > *num_tokens)
        }
        Response::Loglikelihood { .. } => false,
    };
    let longer = task.outcomes.iter().filter(|outcome| outcome.responses.iter().any(went_on)).count();
    let beyond = passed.beyond.iter().filter_map(|(metric, same)| {
        let score = score(metric)?;
        Some(if *same {
            format!("{metric} {score:.2}: the stop cost {:.2} points", score - up_to)
        } else {
            format!("{metric} {score:.2} ({:+.2})", score - up_to)
        })
    });
    Some(format!(
        "{} up to {}: {} {up_to:.2}. Beyond it: {}. {longer} of {} texts go on.",
        task.task,
        shown_stops(&passed.stops),
        passed.up_to,
        beyond.collect::<Vec<_>>().join("; "),
        task.outcomes.len(),
    ))
}

/// How many documents rounding alone could have decided otherwise; `None` if there are none.
fn near_ties(tasks: &[TaskRecord]) -> Option<String> {
    let (mut near, mut decided) = (0, 0);
    for outcome in tasks.iter().flat_map(|task| &task.outcomes) {
        let decisions = || outcome.metrics.iter().filter_map(|measured| measured.decision);
        decided += usize::from(decisions().next().is_some());
        near += usize::from(decisions().any(|decision| decision.near_tie));
    }
    (near > 0).then(|| {
        format!("Near-ties: {near} of {decided} documents, which the rounding of logits alone could have decided otherwise.")
    })
}

/// One row per metric. Tasks that share a tag are one row, with the unweighted mean of their scores, unless each is asked for.
fn task_table(tasks: &[TaskRecord], by_subject: bool) -> Table {
    let head = ["Task", "Metric", "Score", "Stderr", "Documents", "Shots"].map(str::to_string).to_vec();
    let mut rows = Vec::new();
    let mut rest = tasks;
    while let Some(first) = rest.first() {
        let family = match &first.tag {
            Some(tag) if !by_subject => rest.iter().take_while(|task| task.tag.as_ref() == Some(tag)).count(),
            _ => 1,
        };
        let (group, others) = rest.split_at(family);
        rest = others;
        let name = row_name(&first.task, first.tag.as_deref(), group.len());
        for (metric, estimate) in &first.estimates {
            let same =
                |task: &TaskRecord| task.estimates.iter().find(|(name, _)| name == metric).map(|(_, e)| *e);
            let estimates: Vec<Estimate> = group.iter().filter_map(same).collect();
            let stderr = estimate.stderr.filter(|_| group.len() == 1);
            let score = estimates.iter().map(|e| e.value).sum::<f64>() / estimates.len() as f64;
            let scored: usize = estimates.iter().map(|e| e.n).sum();
            let available: usize = group.iter().map(|task| task.available).sum();
            rows.push(vec![
                Cell::Text(name.clone()),
                Cell::Text(metric.clone()),
                Cell::Text(format!("{score:.4}")),
                Cell::Text(stderr.map_or("-".into(), |stderr| format!("{stderr:.4}"))),
                Cell::Text(if scored == available {
                    scored.to_string()
                } else {
                    format!("{scored} of {available}")
                }),
                Cell::Text(first.num_fewshot.to_string()),
            ]);
        }
    }
    Table { head, rows }
}

/// Name of the row of `count` tasks, of which `first` is the first one: their tag, or the name of the only one.
pub fn row_name(first: &str, tag: Option<&str>, count: usize) -> String {
    match (tag, count) {
        (Some(tag), 2..) => format!("{tag} ({count} tasks)"),
        _ => first.to_string(),
    }
}

//! A run's metrics, recomputed from its samples.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::journal::{History, RequestKey};
use super::recorded_run::RecordedRun;
use super::run_json::{group_json, marked};
use super::samples::{Sample, TaskSamples, sample_line};
use crate::evaluate::{group_record, scored};
use crate::metric::Scorer;
use crate::statistics;
use crate::task::{Suite, Task, TaskError, TaskIndex};
use crate::vocabulary::{DocumentRequests, Estimate, Group, Outcome, Response};

/// The samples of a task, and what was recomputed from them.
pub struct Rechecked {
    pub samples: Vec<Sample>,
    /// What differs, as messages.
    pub faults: Vec<String>,
    /// The task's entry in `results.json`, as it should be.
    pub results: Map<String, Value>,
    /// Number of documents that are near-ties, by metric.
    pub near_ties: BTreeMap<String, usize>,
}

/// Recomputes the metrics of every line of `text`, and then those of the task.
///
/// # Errors
/// The task's metrics cannot be bound.
pub fn recheck(task: &Task, text: &str) -> Result<Rechecked, crate::metric::MetricError> {
    let scorer = Scorer::for_task(task)?;
    let mut checked = Rechecked {
        samples: Vec::new(),
        faults: Vec::new(),
        results: Map::new(),
        near_ties: BTreeMap::new(),
    };
    let mut values: Vec<Vec<f64>> = scorer.names().map(|_| Vec::new()).collect();
    let mut near_ties: BTreeMap<String, usize> = BTreeMap::new();
    let mut before = None;
    for (number, line) in text.lines().enumerate() {
        let at = format!("line {}", number + 1);
        let sample = match Sample::read(line, task.metrics.len()) {
            Ok(sample) => sample,
            Err(what) => {
                checked.faults.push(format!("{at}: {what}"));
                continue;
            }
        };
        if before.is_some_and(|before| sample.doc_id <= before) {
            checked.faults.push(format!("{at}: document {} out of order", sample.doc_id));
        }
        before = Some(sample.doc_id);
        match rescore(&scorer, task, &sample) {
            Ok(outcome) => {
                for difference in super::differences::differences(&sample.line, &sample_line(&outcome)) {
                    let shown = |value: &Option<Value>| super::differences::shown(value.as_ref());
                    let (path, found, computed) =
                        (&difference.path, shown(&difference.left), shown(&difference.right));
                    checked.faults.push(format!("{at}: {path} is {found}, computed again {computed}"));
                }
                for (values, measured) in values.iter_mut().zip(&outcome.metrics) {
                    values.push(measured.value);
                    if let Some(decision) = measured.decision {
                        *near_ties.entry(measured.name.clone()).or_default() +=
                            usize::from(decision.near_tie);
                    }
                }
            }
            Err(what) => checked.faults.push(format!("{at}: {what}")),
        }
        checked.samples.push(sample);
    }
    for (index, name) in scorer.names().enumerate().filter(|(index, _)| !values[*index].is_empty()) {
        let estimate = scorer.estimate(index, &values[index]);
        checked.results.insert(name.into(), estimate.value.into());
        checked.results.insert(marked(name, "stderr"), json!(estimate.stderr));
        if let Some(count) = near_ties.get(name) {
            checked.results.insert(marked(name, "near_ties"), (*count).into());
        }
    }
    checked.near_ties = near_ties;
    Ok(checked)
}

/// The document with its metrics computed from its responses.
fn rescore(scorer: &Scorer, task: &Task, sample: &Sample) -> Result<Outcome, String> {
    let Sample { doc_id, row, gold, choices, views, responses, .. } = sample.clone();
    let document = DocumentRequests {
        task: task.name.clone(),
        doc_id,
        row,
        gold: gold.clone(),
        requests: Vec::new(),
        choices: choices.clone(),
        views: views.clone(),
    };
    let metrics = scorer.score(&document, &responses).map_err(|error| error.to_string())?;
    Ok(Outcome { doc_id, row, gold, choices, views, responses, metrics })
}

/// A suite's columns and average in percent, computed from `results`, which is by task; null if a task is
/// missing.
///
/// # Errors
/// A column names no task.
pub fn recheck_suite(
    suite: &Suite,
    index: &TaskIndex,
    results: &Map<String, Value>,
) -> Result<Value, TaskError> {
    let mut columns = Map::new();
    for column in &suite.columns {
        let members = index.members(&column.tasks, 0)?;
        let scores: Option<Vec<f64>> =
            members.iter().map(|name| results.get(name)?[&column.metric].as_f64()).collect();
        columns.insert(column.name.clone(), json!(scores.map(|scores| 100.0 * statistics::mean(&scores))));
    }
    let all: Option<Vec<f64>> = columns.values().map(Value::as_f64).collect();
    let average = all.map(|scores| statistics::mean(&scores));
    Ok(json!({"columns": columns, "average": average}))
}

/// The entries of `results.json` for the groups that `run` records, computed from `results`, which is by task.
pub fn recheck_groups(run: &RecordedRun, results: &Map<String, Value>) -> Map<String, Value> {
    let groups: Vec<Group> = serde_json::from_value(run.get(&["groups"]).clone()).unwrap_or_default();
    let of = |name: &str| {
        let task = run.get(&["tasks", name]);
        let entry = results.get(name)?.as_object()?;
        let n = task["documents"].as_u64()? as usize;
        let scores = entry.iter().filter_map(|(metric, value)| {
            let stderr = entry.get(&marked(metric, "stderr"))?.as_f64();
            Some(scored(metric, &task["config"], Estimate { value: value.as_f64()?, stderr, n }))
        });
        (task["documents"] == task["asked"]).then(|| scores.collect())
    };
    groups.iter().map(|group| (group.name.clone(), group_json(&group_record(group, &of)))).collect()
}

/// The number of requests whose answers in `history` and in the samples of `tasks` differ, and the first one
/// as a message.
pub fn journal_differences(history: &History, tasks: &[TaskSamples]) -> (usize, Option<String>) {
    let mut found: BTreeMap<RequestKey, &Response> = BTreeMap::new();
    for (task, samples) in tasks {
        for sample in samples {
            for (request, response) in sample.responses.iter().enumerate() {
                found.insert((task.to_string(), sample.doc_id, request), response);
            }
        }
    }
    let (mut count, mut first) = (0, None);
    let mut report = |asked: &RequestKey, what: &str| {
        count += 1;
        let (task, doc_id, request) = asked;
        first.get_or_insert_with(|| format!("{task}, document {doc_id}, request {request}: {what}"));
    };
    for (asked, response) in &found {
        match history.answers.get(asked) {
            Some(kept) if kept == *response => {}
            Some(_) => report(asked, "another answer than in the samples"),
            None => report(asked, "no such answer"),
        }
    }
    // The journal may be ahead of the samples of an interrupted run, but not of a finished one.
    if history.finished {
        let mut extra: Vec<&RequestKey> =
            history.answers.keys().filter(|asked| !found.contains_key(*asked)).collect();
        extra.sort();
        for asked in extra {
            report(asked, "not in the samples");
        }
    }
    (count, first)
}

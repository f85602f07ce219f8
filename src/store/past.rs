//! Rows of the leaderboard: published scores and past runs.

use std::path::Path;

use miette::Diagnostic;
use rayon::prelude::*;
use serde_json::Value;
use thiserror::Error;

use super::listed_run::{ListedRun, RunState, run_folders};
use crate::builtin;
use crate::disk;

/// A model's row.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub model: String,
    /// The run's own name, where it is another than its model's.
    pub name: Option<String>,
    /// Percent, by the suite's columns.
    pub scores: Vec<Option<f64>>,
    /// Mean of the columns; only for rows that are ranked.
    pub average: Option<f64>,
    /// Why it is not ranked.
    pub unranked: Vec<String>,
    /// Its origin: a run's folder, or where it was published.
    pub source: String,
    /// Folders of older runs of the same model, tasks and settings, for which this row stands too.
    pub repeated: Vec<String>,
}

/// Rows cannot be read.
#[derive(Debug, Error, Diagnostic)]
#[diagnostic(code(assay::input))]
pub enum PastError {
    /// The file of published scores is invalid.
    #[error("{path}:{line}: {what}")]
    #[diagnostic(help("the file has a line a model: Model, the suite's columns in percent, Source"))]
    Published {
        path: &'static str,
        line: usize,
        /// The fault.
        what: String,
    },
    /// A run's results are invalid.
    #[error("{path}: no results of a run: {what}")]
    #[diagnostic(help("the file is damaged or another program's: move its folder out of `results`"))]
    Run {
        path: String,
        /// The fault.
        what: String,
    },
}

const PUBLISHED: &str = "results/published.csv";

/// The published scores of `columns`; averages are computed, not read.
///
/// # Errors
/// The file does not match the columns.
pub fn published(columns: &[String]) -> Result<Vec<Line>, PastError> {
    let fault = |line, what: String| PastError::Published { path: PUBLISHED, line, what };
    let bytes = builtin::read(PUBLISHED).map_err(|e| fault(1, e.to_string()))?.unwrap_or_default();
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let header = reader.headers().map_err(|e| fault(1, e.to_string()))?.clone();
    let place = |name: &str| {
        header.iter().position(|h| h == name).ok_or_else(|| fault(1, format!("no column `{name}`")))
    };
    let model = place("Model")?;
    let places = columns.iter().map(|name| place(name)).collect::<Result<Vec<_>, _>>()?;
    let source = header.iter().position(|h| h == "Source");
    let mut lines = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let line = index + 2;
        let record = record.map_err(|e| fault(line, e.to_string()))?;
        let scores = places
            .iter()
            .map(|&at| {
                let text = record.get(at).unwrap_or_default();
                let score = text.parse::<f64>().ok().filter(|score| (0.0..=100.0).contains(score));
                score.ok_or_else(|| fault(line, format!("found `{text}`, expected percent")))
            })
            .collect::<Result<Vec<f64>, _>>()?;
        lines.push(Line {
            model: record.get(model).unwrap_or_default().to_string(),
            name: None,
            average: Some(crate::statistics::mean(&scores)),
            scores: scores.into_iter().map(Some).collect(),
            unranked: Vec::new(),
            source: source.and_then(|at| record.get(at)).unwrap_or("published").to_string(),
            repeated: Vec::new(),
        });
    }
    Ok(lines)
}

/// The runs below `folder`, at most two folders deep, with scores of `suite`; each damaged `results.json` is an error of its own,
/// since one of them must not hide the others. Unfinished and damaged runs are listed without a rank, with the reason and what
/// goes on with them. Of finished runs of the same model, tasks and settings the newest stands for all.
pub fn past_runs(folder: &Path, suite: &str, columns: &[String]) -> Vec<Result<Line, PastError>> {
    let mut found: Vec<(Option<ListedRun>, Result<Line, PastError>)> = Vec::new();
    let folders = run_folders(folder);
    let listed: Vec<Option<ListedRun>> =
        folders.par_iter().map(|folder| ListedRun::read(folder).map(ListedRun::checked)).collect();
    for (folder, listed) in folders.iter().zip(listed) {
        let file = folder.join("results.json");
        // What a damaged file says is no score.
        let is_damaged = listed.as_ref().is_some_and(|run| matches!(run.state, RunState::Damaged { .. }));
        let line =
            if file.is_file() && !is_damaged { past_run(&file, suite, columns).transpose() } else { None };
        let line = line.map(|line| line.map(|line| named(line, listed.as_ref())));
        match listed {
            Some(run) if run.state != RunState::Finished => {
                let of_suite = run.suite.as_deref() == Some(suite) || run.identity.is_null();
                match line {
                    Some(Ok(line)) => found.push((None, Ok(not_finished(line, &run)))),
                    _ if of_suite => {
                        found.push((None, Ok(not_finished(named(blank(&run, columns), Some(&run)), &run))))
                    }
                    _ => {}
                }
            }
            listed => found.extend(line.map(|line| (listed, line))),
        }
    }
    let mut lines: Vec<(Option<ListedRun>, Result<Line, PastError>)> = Vec::new();
    for (run, line) in found {
        let same = lines.iter_mut().find(|(before, kept)| {
            kept.is_ok() && before.as_ref().zip(run.as_ref()).is_some_and(|(a, b)| a.repeats(b))
        });
        match (same, line) {
            (Some((kept_run, Ok(kept))), Ok(mut line)) => {
                if kept_run.as_ref().map(|run| &run.started) < run.as_ref().map(|run| &run.started) {
                    std::mem::swap(kept, &mut line);
                    kept.repeated = std::mem::take(&mut line.repeated);
                    *kept_run = run;
                }
                kept.repeated.push(line.source);
            }
            (_, line) => lines.push((run, line)),
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The row with the run's own name.
fn named(mut line: Line, run: Option<&ListedRun>) -> Line {
    let name = run.map(|run| run.name.clone());
    line.name = name.filter(|name| !name.is_empty() && *name != line.model);
    line
}

/// A row without a score.
fn blank(run: &ListedRun, columns: &[String]) -> Line {
    Line {
        model: if run.model.is_empty() { "unknown".into() } else { run.model.clone() },
        name: None,
        scores: vec![None; columns.len()],
        average: None,
        unranked: Vec::new(),
        source: run.path.display().to_string(),
        repeated: Vec::new(),
    }
}

fn not_finished(mut line: Line, run: &ListedRun) -> Line {
    line.average = None;
    let advice = run.state.advice().unwrap_or_default();
    line.unranked.push(format!("{}: {advice}", run.state.word()));
    line
}

fn past_run(file: &Path, suite: &str, columns: &[String]) -> Result<Option<Line>, PastError> {
    let fault = |what: String| PastError::Run { path: file.display().to_string(), what };
    let text = disk::read_text(file, disk::TEXT).map_err(|e| fault(e.to_string()))?;
    let results: Value = serde_json::from_str(&text).map_err(|e| fault(e.to_string()))?;
    let record = &results["suite"];
    if record["name"] != suite {
        return Ok(None);
    }
    let scores: Vec<Option<f64>> = columns.iter().map(|name| record["columns"][name].as_f64()).collect();
    if let Some(score) = scores.iter().flatten().find(|score| !(0.0..=100.0).contains(*score)) {
        return Err(fault(format!("score {score}, expected percent")));
    }
    let reasons = record["unranked_because"].as_array();
    let reasons = reasons.ok_or_else(|| fault("no `suite.unranked_because`".into()))?;
    let mut unranked: Vec<String> = reasons.iter().filter_map(|r| r.as_str().map(str::to_string)).collect();
    if record["ranked"] != true && unranked.is_empty() {
        unranked.push("marked as not ranked".into());
    }
    let all: Option<Vec<f64>> = scores.iter().copied().collect();
    let average = all.filter(|_| unranked.is_empty()).map(|scores| crate::statistics::mean(&scores));
    Ok(Some(Line {
        model: results["config"]["model"].as_str().unwrap_or("unknown").to_string(),
        name: None,
        average,
        unranked,
        scores,
        source: file.parent().unwrap_or(file).display().to_string(),
        repeated: Vec::new(),
    }))
}

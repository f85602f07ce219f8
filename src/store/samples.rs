//! Lines of `samples/<task>.jsonl`: a document with its responses and metrics.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::vocabulary::{Fingerprint, Gold, Outcome, Response, View};

/// Maximum length of a task's name in its file name, in bytes.
const LONGEST_NAME: usize = 200;

/// A task's samples file in a run's folder. Characters that file names must not contain, and `%` itself, are
/// written as `%` and two hexadecimal digits; a very long name is truncated, and ends with a hash of the full
/// name.
pub fn samples_file(task: &str) -> PathBuf {
    let mut name = String::new();
    for character in task.chars() {
        match character {
            '/' | '\\' | '%' | '\0' => name.push_str(&format!("%{:02x}", character as u32)),
            _ => name.push(character),
        }
    }
    // File systems allow about 255 bytes.
    if name.len() > LONGEST_NAME {
        let end = (0..=LONGEST_NAME).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        let hash = Fingerprint::of(name.as_bytes()).to_string();
        name = format!("{}%{:.16}", &name[..end], hash);
    }
    Path::new("samples").join(name + ".jsonl")
}

/// A document's line: metrics under their own names, what they were computed from, and how narrowly they were
/// decided.
pub fn sample_line(outcome: &Outcome) -> Value {
    let mut line = Map::new();
    line.insert("doc_id".into(), outcome.doc_id.into());
    line.insert("row".into(), outcome.row.into());
    line.insert("gold".into(), json!(outcome.gold));
    if !outcome.choices.is_empty() {
        line.insert("choices".into(), json!(outcome.choices));
    }
    // Most metrics use all choices and the document's own gold answer; only other views are written.
    let whole = View { choices: 0..outcome.choices.len(), gold: outcome.gold.clone() };
    if outcome.views.iter().any(|view| *view != whole) {
        let view =
            |view: &View| json!({"choices": [view.choices.start, view.choices.end], "gold": view.gold});
        line.insert("views".into(), outcome.views.iter().map(view).collect());
    }
    line.insert("requests".into(), json!(outcome.responses));
    let decisions = || outcome.metrics.iter().filter_map(|m| Some((m.name.clone(), m.decision?)));
    let margins: Map<String, Value> =
        decisions().filter_map(|(name, decision)| Some((name, decision.margin?.into()))).collect();
    let near_ties: Map<String, Value> =
        decisions().map(|(name, decision)| (name, decision.near_tie.into())).collect();
    for (key, of_metrics) in [("margin", margins), ("near_tie", near_ties)] {
        if !of_metrics.is_empty() {
            line.insert(key.into(), of_metrics.into());
        }
    }
    for measured in &outcome.metrics {
        line.insert(measured.name.clone(), measured.value.into());
    }
    Value::Object(line)
}

/// A task and the lines of its file.
pub type TaskSamples = (Arc<str>, Vec<Sample>);

/// The content of a line besides its metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// See [`Outcome::doc_id`].
    pub doc_id: usize,
    /// See [`Outcome::row`].
    pub row: usize,
    /// See [`Outcome::gold`].
    pub gold: Gold,
    /// See [`Outcome::choices`].
    pub choices: Vec<String>,
    /// See [`Outcome::views`].
    pub views: Vec<View>,
    /// See [`Outcome::responses`].
    pub responses: Vec<Response>,
    /// The entire line.
    pub line: Value,
}

#[derive(Deserialize)]
struct Read {
    doc_id: usize,
    row: usize,
    gold: Gold,
    #[serde(default)]
    choices: Vec<String>,
    views: Option<Vec<ReadView>>,
    requests: Vec<Response>,
}

#[derive(Deserialize)]
struct ReadView {
    choices: [usize; 2],
    gold: Gold,
}

impl Sample {
    /// Reads a line of a task with `metrics` metrics.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(line: &str, metrics: usize) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|e| e.to_string().to_lowercase())?;
        let read = Read::deserialize(&value).map_err(|e| e.to_string().to_lowercase())?;
        let Read { doc_id, row, gold, choices, views, requests } = read;
        let views = match views {
            Some(views) => views
                .into_iter()
                .map(|ReadView { choices: [from, to], gold }| View { choices: from..to, gold })
                .collect(),
            None => vec![View { choices: 0..choices.len(), gold: gold.clone() }; metrics],
        };
        Ok(Self { doc_id, row, gold, choices, views, responses: requests, line: value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{Decision, Measured};

    #[test]
    fn a_line_says_all_that_its_metrics_were_computed_from() {
        let response = |loglikelihood: f64| Response::Loglikelihood {
            loglikelihood,
            is_greedy: false,
            num_tokens: 2,
            rounding: 0.125,
            greedy_near_tie: true,
        };
        let mut outcome = Outcome {
            doc_id: 3,
            row: 11,
            gold: Gold::Index(1),
            choices: vec!["a".into(), "b".into()],
            views: vec![View { choices: 0..2, gold: Gold::Index(1) }; 2],
            responses: vec![response(-0.1 - 0.2), response(-1e-7)],
            metrics: vec![Measured {
                name: "acc".into(),
                value: 1.0,
                decision: Some(Decision { margin: Some(0.25), near_tie: false }),
            }],
        };
        for views in [None, Some(vec![View { choices: 1..2, gold: Gold::Labels(vec![1]) }])] {
            if let Some(views) = views {
                outcome.views = views;
            }
            let line = sample_line(&outcome);
            let sample = Sample::read(&line.to_string(), outcome.views.len()).unwrap();
            assert_eq!((sample.doc_id, sample.row, &sample.gold), (3, 11, &outcome.gold));
            assert_eq!((&sample.choices, &sample.views), (&outcome.choices, &outcome.views));
            assert_eq!(sample.responses, outcome.responses);
            assert_eq!(sample.line, line);
        }
        assert!(Sample::read("{\"doc_id\": 1}", 1).unwrap_err().contains("row"));
    }

    #[test]
    fn no_two_tasks_share_a_file() {
        let names = ["a/b", "a_b", "a%2fb", "a\\b", "a b", "ä"];
        let files: std::collections::BTreeSet<PathBuf> =
            names.iter().map(|name| samples_file(name)).collect();
        assert_eq!(files.len(), names.len());
        assert_eq!(samples_file("a/b"), Path::new("samples/a%2fb.jsonl"));
        let long = "ä".repeat(300);
        assert!(samples_file(&long).as_os_str().len() < 240);
        assert_ne!(samples_file(&long), samples_file(&(long.clone() + "b")));
    }
}

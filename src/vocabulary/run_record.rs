//! What a run found, as reports and run folders need it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{Estimate, Fingerprint, Outcome};

/// A task's part of a run.
#[derive(Debug, Clone)]
pub struct TaskRecord {
    /// The task.
    pub task: Arc<str>,
    /// The first tag that its file bears.
    pub tag: Option<String>,
    /// Whether its file is a user's own, perhaps in place of a built-in one.
    pub included: bool,
    /// `metadata.version` of its file.
    pub version: Value,
    /// Its file as data.
    pub config: Value,
    /// Shots a document.
    pub num_fewshot: usize,
    /// Shots that its file declares.
    pub declared_fewshot: usize,
    /// Documents of the whole split.
    pub available: usize,
    /// Documents asked for.
    pub asked: usize,
    /// What became of the finished ones, in doc_id order.
    pub outcomes: Vec<Outcome>,
    /// Each metric over the finished documents.
    pub estimates: Vec<(String, Estimate)>,
    /// Whether the rows are built-in samples.
    pub sample: bool,
    /// Split, rows read and rows that the hub's own has, where those differ.
    pub other_rows: Vec<(String, usize, usize)>,
    /// Requests cut to the model's context.
    pub truncated: Vec<Truncation>,
    /// Hash of the task file and what it includes.
    pub file: Fingerprint,
    /// Dataset id, split, and hash of the files it was read from.
    pub splits: Vec<(String, String, Fingerprint)>,
}

/// A request that is longer than the model's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Truncation {
    /// The document.
    pub doc_id: usize,
    /// Its row.
    pub row: usize,
    /// Which of its requests.
    pub request: usize,
    /// Tokens cut from the left.
    pub cut_tokens: usize,
}

impl TaskRecord {
    /// Whether every document of the split was scored as its file declares.
    pub fn is_complete(&self) -> bool {
        self.outcomes.len() == self.available && self.num_fewshot == self.declared_fewshot
    }

    /// For each metric that is a decision, how many documents are near-ties.
    pub fn near_ties(&self) -> Vec<(&str, usize)> {
        let Some(first) = self.outcomes.first() else { return Vec::new() };
        let decided = first.metrics.iter().enumerate().filter(|(_, measured)| measured.decision.is_some());
        let near_tie = |outcome: &Outcome, place: usize| {
            outcome.metrics.get(place).and_then(|measured| measured.decision).is_some_and(|d| d.near_tie)
        };
        decided
            .map(|(place, measured)| {
                (measured.name.as_str(), self.outcomes.iter().filter(|o| near_tie(o, place)).count())
            })
            .collect()
    }
}

/// A suite's line of a table. Scores are percent, unrounded.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteRecord {
    /// The suite's name.
    pub suite: String,
    /// As people call it.
    pub title: String,
    /// Column name and score; none where a task of the column is missing.
    pub columns: Vec<(String, Option<f64>)>,
    /// Mean of the columns; none where one is missing.
    pub average: Option<f64>,
    /// Why it cannot stand among ranked models; empty where it can.
    pub unranked: Vec<String>,
}

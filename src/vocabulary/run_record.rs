//! The results of a run, as reports and run folders need them.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::estimate::Estimate;
use super::fingerprint::Fingerprint;
use super::outcome::Outcome;
use super::text_begin::TextBeginRecord;

/// Why a run of the built-in sample model is not ranked.
pub const SAMPLE_MODEL: &str = "built-in sample model";

/// A task's part of a run.
#[derive(Debug, Clone)]
pub struct TaskRecord {
    pub task: Arc<str>,
    /// The first tag of its file.
    pub tag: Option<String>,
    /// Whether its file is a user's own, perhaps in place of a built-in one.
    pub included: bool,
    /// `metadata.version` of its file.
    pub version: Value,
    /// Its parsed file.
    pub config: Value,
    /// Shots per document.
    pub num_fewshot: usize,
    /// Shots that its file declares.
    pub declared_fewshot: usize,
    /// Documents of the whole split.
    pub available: usize,
    /// Documents to evaluate, after any limit.
    pub asked: usize,
    /// The outcomes of the finished documents, in doc_id order.
    pub outcomes: Vec<Outcome>,
    /// Each metric over the finished documents.
    pub estimates: Vec<(String, Estimate)>,
    /// The stops that its generations continued past, if they did.
    pub passed: Option<PassedStops>,
    /// Whether the rows are built-in samples.
    pub sample: bool,
    /// Requests truncated to the model's context.
    pub truncated: Vec<Truncation>,
    /// Hash of the task file and what it includes.
    pub file: Fingerprint,
    /// The splits from which its rows were read.
    pub splits: Vec<SplitRecord>,
    /// What its texts began with.
    pub text_begin: TextBeginRecord,
}

/// Stops that generations continued past.
#[derive(Debug, Clone, PartialEq)]
pub struct PassedStops {
    pub stops: Vec<String>,
    /// The metric that reads a text up to them.
    pub up_to: String,
    /// The metrics that read it beyond them, and whether they use the task's filters rather than their own.
    pub beyond: Vec<(String, bool)>,
}

/// A split that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitRecord {
    /// The dataset's id.
    pub id: String,
    /// The configuration, where it has one.
    pub config: Option<String>,
    pub split: String,
    /// Number of rows read.
    pub rows: usize,
    /// Hash of the files' bytes.
    pub files: Fingerprint,
    /// Hash over the rows, independent of the file format.
    pub content: Fingerprint,
    /// What the dataset's manifest says of it.
    pub pin: Pin,
}

/// What a dataset's manifest says of rows that were read.
#[derive(Debug, Clone, PartialEq)]
pub enum Pin {
    /// The rows are the hub's.
    Same,
    /// The rows match a manifest of the user's own, which replaces a built-in one.
    Own,
    /// The rows differ from the hub's.
    Changed {
        /// Hash of the hub's rows.
        expected: Fingerprint,
        /// Number of the hub's rows.
        rows: usize,
    },
    /// The manifest has no hash.
    Unpinned {
        reason: String,
        /// Number of the hub's rows.
        rows: usize,
    },
    /// There is no manifest for the rows.
    Unknown,
    /// The rows are the built-in samples.
    Sample,
}

impl Pin {
    /// The variant as one word.
    pub fn word(&self) -> &'static str {
        match self {
            Pin::Same => "same",
            Pin::Own => "own",
            Pin::Changed { .. } => "changed",
            Pin::Unpinned { .. } => "unpinned",
            Pin::Unknown => "unknown",
            Pin::Sample => "sample",
        }
    }
}

/// A request that is longer than the model's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Truncation {
    pub doc_id: usize,
    pub row: usize,
    /// Index among the document's requests.
    pub request: usize,
    /// Tokens truncated on the left.
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

/// A suite's row of a table. Scores are percent, unrounded.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteRecord {
    pub suite: String,
    /// Its display name.
    pub title: String,
    /// Column name and score; `None` if a task of the column is missing.
    pub columns: Vec<(String, Option<f64>)>,
    /// Mean of the columns; `None` if one is missing.
    pub average: Option<f64>,
    /// Why it cannot be ranked; empty if it can.
    pub unranked: Vec<String>,
}

//! What a run found, as reports and run folders need it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::estimate::Estimate;
use super::fingerprint::Fingerprint;
use super::outcome::Outcome;

/// Why a run of the model in the binary is not ranked.
pub const SAMPLE_MODEL: &str = "built-in sample model";

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
    /// What its texts were read for beyond their stops, where they were let on.
    pub passed: Option<PassedStops>,
    /// Whether the rows are built-in samples.
    pub sample: bool,
    /// Requests cut to the model's context.
    pub truncated: Vec<Truncation>,
    /// Hash of the task file and what it includes.
    pub file: Fingerprint,
    /// The splits it was made of.
    pub splits: Vec<SplitRecord>,
}

/// Stops that generated texts were let on past.
#[derive(Debug, Clone, PartialEq)]
pub struct PassedStops {
    /// The stops.
    pub stops: Vec<String>,
    /// The metric that reads a text up to them.
    pub up_to: String,
    /// The metrics that read it beyond them, and whether they do it in the same way.
    pub beyond: Vec<(String, bool)>,
}

/// A split that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitRecord {
    /// The dataset's id.
    pub id: String,
    /// The configuration, where it has one.
    pub config: Option<String>,
    /// The split.
    pub split: String,
    /// Rows read.
    pub rows: usize,
    /// Hash of the files' bytes.
    pub files: Fingerprint,
    /// Hash over the rows, whatever files they came in.
    pub content: Fingerprint,
    /// What the dataset's manifest says of it.
    pub pin: Pin,
}

/// What a dataset's manifest says of rows that were read.
#[derive(Debug, Clone, PartialEq)]
pub enum Pin {
    /// They are those of the hub.
    Same,
    /// They are what a manifest of the user's own says, in the place of one that this program brings.
    Own,
    /// They are others.
    Changed {
        /// The hash of those of the hub.
        expected: Fingerprint,
        /// How many those are.
        rows: usize,
    },
    /// The manifest has no hash.
    Unpinned {
        /// Why not.
        reason: String,
        /// How many rows the hub has.
        rows: usize,
    },
    /// There is no manifest for them.
    Unknown,
    /// They are the built-in samples.
    Sample,
}

impl Pin {
    /// One word.
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

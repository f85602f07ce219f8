//! What became of a document.

use serde::{Deserialize, Serialize};

use super::response::Response;

/// What a task holds to be the right answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Gold {
    /// The position of the right choice.
    Index(usize),
    /// For each choice whether it is right (1) or not (0); or the positions of several right choices.
    Labels(Vec<i64>),
    /// The right text.
    Answer(String),
    /// Several texts, each of them right.
    Answers(Vec<String>),
}

/// A document's responses and the value of each of its metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// See [`Document::doc_id`](super::Document::doc_id).
    pub doc_id: usize,
    /// See [`Document::row`](super::Document::row).
    pub row: usize,
    /// What was right.
    pub gold: Gold,
    /// One response a request, in order.
    pub responses: Vec<Response>,
    /// Metric name and this document's value, in the task's order.
    pub metrics: Vec<(String, f64)>,
}

//! What became of a document.

use super::gold::Gold;
use super::request::View;
use super::response::Response;

/// A document's responses and the value of each of its metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// See [`Document::doc_id`](super::Document::doc_id).
    pub doc_id: usize,
    /// See [`Document::row`](super::Document::row).
    pub row: usize,
    /// What was right.
    pub gold: Gold,
    /// See [`DocumentRequests::choices`](super::DocumentRequests::choices).
    pub choices: Vec<String>,
    /// See [`DocumentRequests::views`](super::DocumentRequests::views).
    pub views: Vec<View>,
    /// One response a request, in order.
    pub responses: Vec<Response>,
    /// The value of each metric, in the task's order.
    pub metrics: Vec<Measured>,
}

/// A metric's value for one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The metric's name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// How narrowly it was decided, where the metric is a decision and no measure.
    pub decision: Option<Decision>,
}

/// How narrowly a metric was decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The best choice's lead over the next, in the metric's own scale (nats; for metrics by length nats a character or byte);
    /// none where the decision is no comparison of choices.
    pub margin: Option<f64>,
    /// Whether another choice is within the estimated roundings of both.
    pub near_tie: bool,
}

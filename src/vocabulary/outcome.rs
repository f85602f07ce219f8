//! The outcome of a document.

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
    pub gold: Gold,
    /// See [`DocumentRequests::choices`](super::DocumentRequests::choices).
    pub choices: Vec<String>,
    /// See [`DocumentRequests::views`](super::DocumentRequests::views).
    pub views: Vec<View>,
    /// One response per request, in order.
    pub responses: Vec<Response>,
    /// The value of each metric, in the task's order.
    pub metrics: Vec<Measured>,
}

/// A metric's value for one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub name: String,
    pub value: f64,
    /// How narrowly it was decided, if the metric is a decision and not a measure.
    pub decision: Option<Decision>,
}

/// How narrowly a metric was decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The best choice's lead over the next, in the metric's own scale (nats; for metrics by length, nats per
    /// character or byte); `None` if the decision is not a comparison of choices.
    pub margin: Option<f64>,
    /// Whether the decision is within the estimated rounding errors: another choice, or another token of a
    /// generation, may have been ahead before rounding.
    pub near_tie: bool,
}

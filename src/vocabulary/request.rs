//! The requests of a task to a model.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::gold::Gold;

/// One request to a language model. Contexts are shared: the choices of a document continue the same one.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// The log-probability of `continuation` after `context`.
    Loglikelihood { context: Arc<str>, continuation: String },
    /// Greedy text after `context`, cut before the first of `until`, of at most `max_new_tokens` tokens.
    GenerateUntil { context: Arc<str>, until: Stops, max_new_tokens: usize },
}

/// Stop strings: a generated text is cut before the first of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Stops {
    until: Arc<[String]>,
    /// If given, the generation continues past `until` up to the first of these, and both texts are stored.
    pub beyond: Option<Arc<[String]>>,
}

impl<T: Into<Arc<[String]>>> From<T> for Stops {
    fn from(until: T) -> Self {
        Self { until: until.into(), beyond: None }
    }
}

impl Deref for Stops {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.until
    }
}

impl Request {
    /// The text that the model reads before it scores or generates anything.
    pub fn context(&self) -> &str {
        match self {
            Request::Loglikelihood { context, .. } | Request::GenerateUntil { context, .. } => context,
        }
    }
}

/// All requests of one document, in the order in which its metrics read the responses.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentRequests {
    pub task: Arc<str>,
    /// See [`Document::doc_id`](super::Document::doc_id).
    pub doc_id: usize,
    /// See [`Document::row`](super::Document::row).
    pub row: usize,
    pub gold: Gold,
    pub requests: Vec<Request>,
    /// Choices as the task names them, without the delimiter before them; empty for generation.
    pub choices: Vec<String>,
    /// What each of the task's metrics reads, in their order.
    pub views: Vec<View>,
}

/// The part of a document that one metric reads.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The choices, and their requests, by index.
    pub choices: Range<usize>,
    /// What is right among them.
    pub gold: Gold,
}

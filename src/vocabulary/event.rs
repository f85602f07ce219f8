//! The events of a preparation and an evaluation, as they happen: reporters read these and nothing else.

use std::sync::Arc;

use super::estimate::Estimate;
use super::outcome::Outcome;

/// How far the preparation of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparing {
    /// Bytes of the model's weights that are read.
    pub read: u64,
    /// Bytes of all of them.
    pub of: u64,
    /// Whether the model is loaded; its tasks may still be built.
    pub loaded: bool,
}

/// An event of an evaluation.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The requests of one task, or of several that share a tag, go to the model together.
    FamilyStarted {
        /// The tag, if there is one.
        name: Option<&'a str>,
        tasks: usize,
        /// Expected number of tokens to compute.
        tokens: f64,
    },
    /// A task's requests go to the model.
    TaskStarted { task: &'a Arc<str>, documents: usize },
    /// A document has all its responses and its metrics.
    DocumentFinished {
        task: &'a Arc<str>,
        outcome: &'a Outcome,
        /// Its number of requests.
        requests: usize,
        /// Each metric's mean over the task's documents so far.
        running: &'a [(String, f64)],
    },
    /// A batch is answered and its answers are kept.
    BatchDone {
        /// Tokens computed so far in this family of tasks.
        tokens: usize,
    },
    /// The device ran out of memory for a batch; it is computed in parts, and later batches are smaller.
    BatchesNarrowed {
        /// Maximum rows of a batch.
        rows: usize,
    },
    /// All documents of a task are finished.
    TaskFinished {
        task: &'a Arc<str>,
        /// Each metric over all of them.
        estimates: &'a [(String, Estimate)],
    },
}

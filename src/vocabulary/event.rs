//! What happens during an evaluation, as it happens: reporters read this and nothing else.

use std::sync::Arc;

use super::estimate::Estimate;
use super::outcome::Outcome;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A task's requests go to the model.
    TaskStarted {
        /// The task.
        task: &'a Arc<str>,
        /// Documents.
        documents: usize,
    },
    /// A document has all its responses and its metrics.
    DocumentFinished {
        /// The task.
        task: &'a Arc<str>,
        /// What became of it.
        outcome: &'a Outcome,
        /// Requests answered with it.
        requests: usize,
        /// Each metric's mean over the task's documents so far.
        running: &'a [(String, f64)],
    },
    /// A pass is over.
    Advanced {
        /// Tokens computed so far in this family of tasks.
        tokens: usize,
    },
    /// The device had no memory for a pass; it is computed in parts, and the passes to come are smaller.
    PassesNarrowed {
        /// Rows of a pass, at most.
        rows_per_pass: usize,
    },
    /// All documents of a task are finished.
    TaskFinished {
        /// The task.
        task: &'a Arc<str>,
        /// Each metric over all of them.
        estimates: &'a [(String, Estimate)],
    },
}

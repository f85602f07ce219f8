//! The interface between engines and everything else: requests go in, answers come out.
//!
//! The in-process engine implements it over a loaded model ([`LocalEngine`](super::LocalEngine)), tests over
//! a stub. A remote engine can implement it too: nothing in it names logits or passes.

use std::ops::ControlFlow;

use super::identity::EngineIdentity;
use super::request_tree::RequestTree;
use super::work::{Answer, EngineError, Work};

/// Answers requests with a model.
pub trait Engine {
    /// The model that answers.
    fn identity(&self) -> &EngineIdentity;

    /// The limits that requests must respect.
    fn limits(&self) -> RequestLimits;

    /// Approximate seconds per token in large batches, if known.
    ///
    /// # Errors
    /// The engine's.
    fn seconds_per_token(&self) -> Result<Option<f64>, EngineError> {
        Ok(None)
    }

    /// Maximum rows of a batch, for an engine that computes in rows of tokens; lowered if its device runs out of memory.
    fn rows_per_batch(&self) -> Option<usize> {
        None
    }

    /// Answers all requests, in any order. `on_event` may stop it early; answers reported by then stay valid.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn answer(
        &mut self,
        requests: &RequestTree<'_>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
    ) -> Result<Work, EngineError>;
}

/// What is reported while requests are answered.
#[derive(Debug)]
pub enum EngineEvent {
    Answered(Answer),
    /// A batch is done and its answers are reported; the cost of the call so far.
    BatchDone(Work),
    /// The device ran out of memory: this batch and the later ones have fewer rows.
    BatchesNarrowed {
        /// The new maximum.
        rows: usize,
    },
}

/// Limits of the requests that an engine accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// In positions.
    pub max_length: usize,
    /// Rows of the model's embedding.
    pub vocab_size: usize,
    /// Maximum tokens whose keys and values are cached at once.
    pub kv_budget: usize,
    /// Bytes of one token's keys and values; 0 if unknown.
    pub kv_bytes_per_token: u64,
}

impl RequestLimits {
    /// Limits the positions only.
    pub fn of_length(max_length: usize) -> Self {
        Self { max_length, vocab_size: usize::MAX, kv_budget: usize::MAX, kv_bytes_per_token: 0 }
    }
}

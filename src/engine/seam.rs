//! The seam between engines and everything else: requests go in, answers come out.
//!
//! The engine in this process implements it over a loaded model ([`LocalEngine`](super::LocalEngine)), tests over a stand-in. An engine
//! elsewhere implements it too: nothing of it names logits, passes or a device.

use std::ops::ControlFlow;

use super::identity::EngineIdentity;
use super::request_tree::RequestTree;
use super::work::{Answer, EngineError, Work};

/// Answers requests with a model.
pub trait Engine {
    /// Who answers.
    fn identity(&self) -> &EngineIdentity;

    /// What requests must keep to.
    fn limits(&self) -> RequestLimits;

    /// About how many seconds a token takes in large batches, where that can be known.
    ///
    /// # Errors
    /// The engine's.
    fn seconds_per_token(&self) -> Result<Option<f64>, EngineError> {
        Ok(None)
    }

    /// Answers all requests, in an order of its own. `on_event` may break off; what was answered by then stays so.
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
    /// A request is answered.
    Answered(Answer),
    /// A batch is over and its answers are given; this is what the call cost so far.
    BatchDone(Work),
    /// The device had no memory for a batch: this one and those to come have fewer rows.
    BatchesNarrowed {
        /// At most as many.
        rows: usize,
    },
}

/// What an engine can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Positions.
    pub max_length: usize,
    /// Tokens that the model has embeddings of.
    pub vocab_size: usize,
    /// Tokens whose keys and values are kept at once, at most.
    pub kv_budget: usize,
    /// Bytes that those of one take; 0 where that is not known.
    pub kv_bytes_per_token: u64,
}

impl RequestLimits {
    /// None but that of positions.
    pub fn of_length(max_length: usize) -> Self {
        Self { max_length, vocab_size: usize::MAX, kv_budget: usize::MAX, kv_bytes_per_token: 0 }
    }
}

//! How much there is to do, before it is done.

use super::prepare::Prepared;
use super::run::families;
use crate::engine::{EngineError, walk_through};
use crate::tokenizer::TokenRequest;

/// Counts of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// Documents.
    pub documents: usize,
    /// Requests.
    pub requests: usize,
    /// Tokens if every request were computed alone.
    pub tokens_alone: usize,
    /// Distinct prefixes, in tokens: what is computed.
    pub tokens_planned: usize,
    /// Tokens that generations may write, at most.
    pub tokens_to_write: usize,
    /// Tokens whose keys and values are kept at once, at most.
    pub peak_live_kv_tokens: usize,
}

impl Plan {
    /// Tokens that will probably go through the model: most answers end at a stop string, so half of what may be written.
    pub fn expected_tokens(&self) -> f64 {
        self.tokens_planned as f64 + 0.5 * self.tokens_to_write as f64
    }
}

/// Plans prepared tasks for a model of `max_length` positions that keeps at most `room` tokens, as
/// [`evaluate`](super::evaluate) will go about them.
///
/// # Errors
/// A request that cannot be fed; [`Prepared::fit`] finds it first, and names it better.
pub fn plan(prepared: &[Prepared], max_length: usize, room: usize) -> Result<Plan, EngineError> {
    let mut plan = Plan::default();
    for family in families(prepared) {
        let requests: Vec<TokenRequest> = family.iter().flat_map(Prepared::flat).collect();
        let work = walk_through(&requests, max_length, room)?;
        plan.documents += family.iter().map(|task| task.tokens.len()).sum::<usize>();
        plan.requests += requests.len();
        plan.tokens_alone += work.tokens_alone;
        plan.tokens_planned += work.tokens_planned;
        plan.tokens_to_write += requests.iter().map(TokenRequest::max_new_tokens).sum::<usize>();
        plan.peak_live_kv_tokens = plan.peak_live_kv_tokens.max(work.peak_live_kv_tokens);
    }
    Ok(plan)
}

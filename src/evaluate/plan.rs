//! How much there is to do, before it is done.

use rayon::prelude::*;

use super::prepare::Prepared;
use super::run::families;
use crate::engine::{EngineError, walk_through};
use crate::tokenizer::TokenRequest;

/// Counts of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// Documents.
    pub documents: usize,
    /// Requests that are not answered yet.
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

/// Plans what is left of prepared tasks for a model of `max_length` positions that keeps at most `room` tokens, as
/// [`evaluate`](super::run::evaluate) will go about them.
///
/// # Errors
/// A request that cannot be fed; [`Prepared::fit`] finds it first, and names it better.
pub fn plan(prepared: &[Prepared], max_length: usize, room: usize) -> Result<Plan, EngineError> {
    let families: Vec<&[Prepared]> = families(prepared).collect();
    Ok(sum(&walk(&families, max_length, room)?))
}

/// The plan of each task as if it stood alone, and that of all of them.
///
/// # Errors
/// As [`plan`].
pub fn plan_each(
    prepared: &[Prepared],
    max_length: usize,
    room: usize,
) -> Result<(Vec<Plan>, Plan), EngineError> {
    let families: Vec<&[Prepared]> = families(prepared).collect();
    // A task without relatives is planned once.
    let related = families.iter().filter(|family| family.len() > 1).flat_map(|family| family.chunks(1));
    let groups: Vec<&[Prepared]> = families.iter().copied().chain(related).collect();
    let plans = walk(&groups, max_length, room)?;
    let (of_families, of_related) = plans.split_at(families.len());
    let mut of_related = of_related.iter().copied();
    let mut each = Vec::with_capacity(prepared.len());
    for (family, plan) in families.iter().zip(of_families) {
        match family.len() {
            1 => each.push(*plan),
            tasks => each.extend(of_related.by_ref().take(tasks)),
        }
    }
    Ok((each, sum(of_families)))
}

/// The plan of each group of tasks that are computed as one.
fn walk(groups: &[&[Prepared]], max_length: usize, room: usize) -> Result<Vec<Plan>, EngineError> {
    let plans: Vec<Result<Plan, EngineError>> =
        groups.par_iter().map(|group| walk_group(group, max_length, room)).collect();
    // The first fault in order, whichever was found first.
    plans.into_iter().collect()
}

fn walk_group(group: &[Prepared], max_length: usize, room: usize) -> Result<Plan, EngineError> {
    let requests = || group.iter().flat_map(Prepared::open_tokens);
    let work = walk_through(requests(), max_length, room)?;
    Ok(Plan {
        documents: group.iter().map(|task| task.tokens.len()).sum(),
        requests: requests().count(),
        tokens_alone: work.tokens_alone,
        tokens_planned: work.tokens_planned,
        tokens_to_write: requests().map(TokenRequest::max_new_tokens).sum(),
        peak_live_kv_tokens: work.peak_live_kv_tokens,
    })
}

fn sum(plans: &[Plan]) -> Plan {
    plans.iter().fold(Plan::default(), |sum, plan| Plan {
        documents: sum.documents + plan.documents,
        requests: sum.requests + plan.requests,
        tokens_alone: sum.tokens_alone + plan.tokens_alone,
        tokens_planned: sum.tokens_planned + plan.tokens_planned,
        tokens_to_write: sum.tokens_to_write + plan.tokens_to_write,
        // One family after the other.
        peak_live_kv_tokens: sum.peak_live_kv_tokens.max(plan.peak_live_kv_tokens),
    })
}

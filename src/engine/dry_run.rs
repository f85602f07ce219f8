//! The engine's schedule over the requests, walked without a model.

use super::forward::Forward;
use super::request_tree::RequestTree;
use super::schedule::{LogitUse, Schedule};
use super::work::{EngineError, Work};
use crate::model::{Dtype, ForwardError, Row, Segment, SegmentId};

/// Computes nothing, and caches nothing.
struct Nothing;

impl Forward for Nothing {
    fn pass(
        &mut self,
        _: &[Segment],
        _: &[Row],
        _: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError> {
        Ok(())
    }

    fn release(&mut self, _: SegmentId) {}

    fn truncate(&mut self, _: SegmentId, _: usize) -> Result<(), ForwardError> {
        Ok(())
    }

    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn end_of_text(&self) -> &[u32] {
        &[]
    }

    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
}

/// The cost of answering requests with the keys and values of at most `kv_budget` tokens cached. Generations
/// are assumed to reach their maximum length.
///
/// # Errors
/// A request that alone exceeds the budget.
pub fn dry_run(requests: &RequestTree<'_>, kv_budget: usize) -> Result<Work, EngineError> {
    let mut schedule = Schedule::new(requests, kv_budget)?;
    while let Some(pass) = schedule.next_pass() {
        schedule.computed(&pass.segments);
        for logit_use in &pass.uses {
            match logit_use {
                LogitUse::Decode { index, .. } => {
                    schedule.decodes[*index].push_dummy();
                }
                LogitUse::Node { node, reads } => {
                    for request in schedule.generations(*node, reads.clone()) {
                        let mut decode = schedule.decode(request, *node);
                        if !decode.push_dummy() {
                            schedule.start(decode);
                        }
                    }
                }
            }
        }
        schedule.release_finished(&mut Nothing);
    }
    Ok(schedule.work)
}

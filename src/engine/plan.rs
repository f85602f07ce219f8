//! The engine's own way through the requests, walked without a model.

use super::forward::Forward;
use super::run::{EngineError, Work};
use super::schedule::{Reader, Schedule};
use crate::model::{Dtype, ForwardError, Row, Segment, SegmentId};
use crate::tokenizer::TokenRequest;

/// Nothing is computed, and nothing kept.
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

/// What answering `requests` costs a model of `max_length` positions that keeps at most `room` tokens. Texts are taken at their
/// greatest length.
///
/// # Errors
/// A request that cannot be fed.
pub fn walk_through<'r>(
    requests: impl IntoIterator<Item = &'r TokenRequest>,
    max_length: usize,
    room: usize,
) -> Result<Work, EngineError> {
    let mut schedule = Schedule::new(requests, max_length, room)?;
    while let Some(pass) = schedule.next_pass() {
        schedule.computed(&pass.segments);
        for reader in &pass.readers {
            match reader {
                Reader::Decode { index, .. } => {
                    schedule.decodes[*index].pretend();
                }
                Reader::Node { node, reads } => {
                    for request in schedule.generations(*node, reads.clone()) {
                        let mut decode = schedule.decode(request, *node);
                        if !decode.pretend() {
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

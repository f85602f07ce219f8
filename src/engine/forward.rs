//! What the engine in this process asks of a model: passes.

use crate::model::{Dtype, ForwardError, KvCache, Model, Row, Segment, SegmentId};
use crate::tokenizer::Tokenizer;

/// Computes passes over segments of tokens and keeps their keys and values.
pub trait Forward {
    /// Computes `segments` in one pass; `read` gets the logits of each wanted row, once, from any thread and in any order.
    ///
    /// # Errors
    /// The model's; all segments are then as they were before the pass, though `read` may have been called. After
    /// [`ForwardError::OutOfMemory`] the engine asks for the same rows in smaller passes.
    fn pass(
        &mut self,
        segments: &[Segment],
        wanted: &[Row],
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError>;

    /// Forgets a segment's keys and values, if it has any.
    fn release(&mut self, id: SegmentId);

    /// Forgets the keys and values of a segment's own tokens from `length` on; no other segment continues it.
    ///
    /// # Errors
    /// The model's.
    fn truncate(&mut self, id: SegmentId, length: usize) -> Result<(), ForwardError>;

    /// Positions that the model was made for.
    fn max_length(&self) -> usize;

    /// Tokens that end a text.
    fn end_of_text(&self) -> &[u32];

    /// The number format that logits are rounded to before they are read.
    fn dtype(&self) -> Dtype;

    /// About how many seconds a token takes in large passes, where that can be known.
    ///
    /// # Errors
    /// The model's.
    fn seconds_per_token(&self) -> Result<Option<f64>, ForwardError> {
        Ok(None)
    }
}

/// A loaded model with its keys and values.
pub struct LoadedModel<'a> {
    model: &'a Model,
    kv: KvCache,
    end_of_text: Vec<u32>,
}

impl<'a> LoadedModel<'a> {
    /// A model with nothing computed yet. Texts end at its own end-of-text tokens and at the tokenizer's.
    pub fn new(model: &'a Model, tokenizer: &Tokenizer) -> Self {
        let mut end_of_text = model.facts().eos_token_ids.clone();
        end_of_text.extend(tokenizer.end_of_text);
        Self { model, kv: model.kv_cache(), end_of_text }
    }
}

impl Forward for LoadedModel<'_> {
    fn pass(
        &mut self,
        segments: &[Segment],
        wanted: &[Row],
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError> {
        self.model.forward(segments, wanted, &mut self.kv, read)
    }

    fn release(&mut self, id: SegmentId) {
        self.kv.release(id);
    }

    fn truncate(&mut self, id: SegmentId, length: usize) -> Result<(), ForwardError> {
        Ok(self.kv.truncate(id, length)?)
    }

    fn max_length(&self) -> usize {
        self.model.facts().max_length
    }

    fn end_of_text(&self) -> &[u32] {
        &self.end_of_text
    }

    fn dtype(&self) -> Dtype {
        self.model.facts().dtype
    }

    fn seconds_per_token(&self) -> Result<Option<f64>, ForwardError> {
        self.model.seconds_per_token().map(Some)
    }
}

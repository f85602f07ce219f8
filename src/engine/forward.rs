//! What the in-process engine needs of a model: passes.

use crate::model::{Dtype, ForwardError, KvCache, Model, Row, Segment, SegmentId};
use crate::tokenizer::Tokenizer;

/// Computes passes over segments of tokens and caches their keys and values.
pub trait Forward {
    /// Computes `segments` in one pass. `read` is called once for each row in `wanted`, with its index there
    /// and its logits, from any thread and in any order.
    ///
    /// # Errors
    /// The model's. All segments are then as before the pass, though `read` may have been called. After
    /// [`ForwardError::OutOfMemory`] the engine requests the same rows in smaller passes.
    fn pass(
        &mut self,
        segments: &[Segment],
        wanted: &[Row],
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError>;

    /// Drops a segment's keys and values, if it has any.
    fn release(&mut self, id: SegmentId);

    /// Drops the keys and values of a segment's own tokens from `length` on. No other segment may continue
    /// it.
    ///
    /// # Errors
    /// The model's.
    fn truncate(&mut self, id: SegmentId, length: usize) -> Result<(), ForwardError>;

    /// The model's context length in positions.
    fn max_length(&self) -> usize;

    /// Tokens that end a generation.
    fn end_of_text(&self) -> &[u32];

    /// The number format that logits are rounded to before they are read.
    fn dtype(&self) -> Dtype;

    /// Approximate seconds per token in large passes, if known.
    ///
    /// # Errors
    /// The model's.
    fn seconds_per_token(&self) -> Result<Option<f64>, ForwardError> {
        Ok(None)
    }
}

/// A loaded model with its kv cache.
pub struct LoadedModel<'a> {
    model: &'a Model,
    kv: KvCache,
    end_of_text: Vec<u32>,
}

impl<'a> LoadedModel<'a> {
    /// A model with an empty kv cache. Generations end at the model's own end-of-text tokens and at the
    /// tokenizer's.
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

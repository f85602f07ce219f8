//! A forward pass as it is asked for, and as it is laid out: rows, positions, and blocks of attention.

use std::ops::Range;
use std::path::PathBuf;

use candle_core::{Device, Result, Tensor};

use super::kv::{KvCache, Link, SegmentError, SegmentId};
use super::weights::first_line;

/// A run of tokens to compute in a pass. It continues `prefix`, the chain of segments (root first) computed in earlier
/// passes or earlier in this one.
///
/// Under an id whose keys and values are kept already, with the same prefix, the tokens are appended to that segment:
/// so a text is decoded, a token a pass. That needs a segment that no other one continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Name, by which later segments continue this one.
    pub id: SegmentId,
    /// Chain of segments before it, root first.
    pub prefix: Vec<SegmentId>,
    /// At least one token id.
    pub tokens: Vec<u32>,
}

/// A row of a pass whose logits are wanted: the prediction of what follows this token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Index of the segment in the pass.
    pub segment: usize,
    /// Index of the token in that segment's tokens of this pass.
    pub token: usize,
}

/// Why a forward pass fails. The keys and values are then as they were before it.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ForwardError {
    /// A segment doesn't fit the tree of those that are kept.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Segment(#[from] SegmentError),
    /// A segment without tokens.
    #[error("segment {} has no tokens", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Empty {
        /// The segment.
        id: SegmentId,
    },
    /// A row that isn't in the pass.
    #[error("logits of token {token} of segment {segment} are wanted, which the pass does not have")]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    NoSuchRow {
        /// As in [`Row`].
        segment: usize,
        /// As in [`Row`].
        token: usize,
    },
    /// Keys and values of another model.
    #[error("the keys and values given to {} are another model's", path.display())]
    #[diagnostic(code(assay::engine), help("this is a fault in assay; please report it"))]
    OtherModel {
        /// The model.
        path: PathBuf,
    },
    /// The tokenizer knows tokens that the model doesn't.
    #[error("{}: token id {token}, expected below {vocab_size}, the rows of the embedding", path.display())]
    #[diagnostic(
        code(assay::input),
        help("tokenizer and model do not belong together; pass the model's own with --tokenizer")
    )]
    TokenOutOfRange {
        /// The model.
        path: PathBuf,
        /// The token id.
        token: u32,
        /// The model's.
        vocab_size: usize,
    },
    /// More positions than the model was made for.
    #[error("{}: {length} tokens, expected at most {max_length}, the model's context", path.display())]
    #[diagnostic(code(assay::input), help("shorten the context, for example with fewer shots"))]
    TooLong {
        /// The model.
        path: PathBuf,
        /// With the prefix.
        length: usize,
        /// The model's.
        max_length: usize,
    },
    /// Results that are no numbers.
    #[error("{}: {what} after token {token} of segment {} are not finite", path.display(), id.0)]
    #[diagnostic(
        code(assay::engine),
        help(
            "the weights hold NaN or infinity, or overflow in this dtype; try --dtype bfloat16 or float32, or fetch the weights again"
        )
    )]
    NotFinite {
        /// The model.
        path: PathBuf,
        /// Logits, or keys and values.
        what: &'static str,
        /// The segment.
        id: SegmentId,
        /// Index of the token in the segment's tokens of this pass.
        token: usize,
    },
    /// The device has no memory for the pass. With fewer rows it may have.
    #[error("memory ran out on the model's device: {reason}")]
    #[diagnostic(
        code(assay::engine),
        help(
            "bound the keys and values that are kept with --kv-memory, or use --dtype bfloat16, fewer shots or a smaller model"
        )
    )]
    OutOfMemory {
        /// From the device.
        reason: String,
    },
    /// The device fails otherwise.
    #[error("the forward pass failed on its device: {reason}")]
    #[diagnostic(
        code(assay::engine),
        help("check the device and its driver, or use --device cpu; otherwise please report it")
    )]
    Device {
        /// From the device.
        reason: String,
    },
}

impl From<candle_core::Error> for ForwardError {
    fn from(error: candle_core::Error) -> Self {
        let reason = first_line(&error);
        match ran_out_of_memory(&error.to_string()) {
            true => ForwardError::OutOfMemory { reason },
            false => ForwardError::Device { reason },
        }
    }
}

/// Whether a device's message says that there is no memory left. candle passes the text of cudarc's errors on, and no more: the
/// driver's `DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")` and `CublasError(CUBLAS_STATUS_ALLOC_FAILED)`.
fn ran_out_of_memory(message: &str) -> bool {
    ["CUDA_ERROR_OUT_OF_MEMORY", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// A pass laid out: all segments' tokens in one run of rows.
pub(super) struct Layout {
    pub tokens: Vec<u32>,
    /// Of each row.
    pub positions: Vec<usize>,
    pub segments: Vec<Placed>,
}

/// A segment's place in the pass.
pub(super) struct Placed {
    pub id: SegmentId,
    pub rows: Range<usize>,
    /// What it continues, root first; itself last where it grows.
    pub links: Vec<Link>,
}

impl Layout {
    /// Opens all segments in `kv`; those opened are rolled back where one fails.
    pub fn open(segments: &[Segment], kv: &mut KvCache) -> std::result::Result<Self, SegmentError> {
        let mut layout = Layout { tokens: Vec::new(), positions: Vec::new(), segments: Vec::new() };
        for segment in segments {
            let opened = match kv.open(segment.id, &segment.prefix, segment.tokens.len()) {
                Ok(opened) => opened,
                Err(error) => {
                    kv.roll_back(layout.ids());
                    return Err(error);
                }
            };
            let first = layout.tokens.len();
            layout.tokens.extend_from_slice(&segment.tokens);
            layout.positions.extend(opened.start..opened.start + segment.tokens.len());
            let rows = first..layout.tokens.len();
            layout.segments.push(Placed { id: segment.id, rows, links: opened.links });
        }
        Ok(layout)
    }

    /// In the order in which they were opened.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = SegmentId> {
        self.segments.iter().map(|placed| placed.id)
    }

    /// Divides the attention of the pass in blocks of rows that see the same kept keys.
    ///
    /// Neighbouring segments with one prefix share blocks, so that the prefix's keys are multiplied once with all their
    /// rows; among themselves a mask keeps them apart. Where `whole`, a segment without a prefix is one block, without a mask.
    pub fn blocks(
        &self,
        window: Option<usize>,
        heads: usize,
        whole: bool,
        device: &Device,
    ) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        let mut rest = self.segments.as_slice();
        while let Some(first) = rest.first() {
            // Without a prefix there is nothing to share.
            let shared = match first.links.is_empty() {
                true => 1,
                false => rest.iter().take_while(|placed| placed.links == first.links).count(),
            };
            let (run, others) = rest.split_at(shared);
            rest = others;
            let rows = first.rows.start..run.last().map_or(first.rows.end, |last| last.rows.end);
            if whole && first.links.is_empty() {
                let own = rows.clone();
                blocks.push(Block { rows, kept: Vec::new(), own, mask: None, whole });
                continue;
            }
            let kept: usize = first.links.iter().map(|link| link.length).sum();
            let step = (MAX_SCORES / (heads * (kept + rows.len()))).clamp(16, 256);
            for begin in rows.clone().step_by(step) {
                let end = (begin + step).min(rows.end);
                blocks.push(self.block(run, begin..end, window, device)?);
            }
        }
        Ok(blocks)
    }

    fn block(
        &self,
        run: &[Placed],
        rows: Range<usize>,
        window: Option<usize>,
        device: &Device,
    ) -> Result<Block> {
        let first_row_of = |row: usize| {
            run.iter().find(|placed| placed.rows.contains(&row)).map_or(row, |placed| placed.rows.start)
        };
        let segment_starts: Vec<usize> = rows.clone().map(first_row_of).collect();
        let positions = &self.positions[rows.clone()];
        // The first position that any row of the block still sees.
        let seen = |query: usize| window.map_or(0, |window| (query + 1).saturating_sub(window));
        let first_seen = positions.iter().map(|&query| seen(query)).min().unwrap_or(0);

        let mut kept = Vec::new();
        for link in run.first().map_or(&[][..], |placed| &placed.links) {
            let first = first_seen.saturating_sub(link.start);
            if first < link.length {
                let keys = link.start + first..link.start + link.length;
                let mask = mask(positions.len(), keys.len(), device, |row, key| {
                    seen(positions[row]) <= keys.start + key
                })?;
                kept.push(KeptKeys { id: link.id, first, count: keys.len(), mask });
            }
        }
        // The segment of the first row began furthest back; with a window not all of it is seen.
        let begin = segment_starts.first().copied().unwrap_or(rows.start);
        let own = begin.max(window.map_or(0, |window| (rows.start + 1).saturating_sub(window)))..rows.end;
        let mask = mask(rows.len(), own.len(), device, |row, key| {
            let (query, key) = (rows.start + row, own.start + key);
            key <= query && key >= segment_starts[row] && seen(self.positions[query]) <= self.positions[key]
        })?;
        Ok(Block { rows, kept, own, mask, whole: false })
    }
}

/// Scores of a block, over all heads, are at most about as many: 32 MiB of them.
const MAX_SCORES: usize = 1 << 23;

/// Rows of a pass that attend to the same kept keys, and to keys of the pass.
pub(super) struct Block {
    pub rows: Range<usize>,
    pub kept: Vec<KeptKeys>,
    /// Rows of the pass whose keys are seen.
    pub own: Range<usize>,
    /// `[rows, own]`: 0 where a key is seen, else minus infinity. `None`: all are seen.
    pub mask: Option<Tensor>,
    /// Whether it is a whole text, whose rows see those before them; `mask` says nothing then.
    pub whole: bool,
}

/// Kept keys that a block sees.
pub(super) struct KeptKeys {
    pub id: SegmentId,
    pub first: usize,
    pub count: usize,
    /// As in [`Block`].
    pub mask: Option<Tensor>,
}

fn mask(
    rows: usize,
    keys: usize,
    device: &Device,
    seen: impl Fn(usize, usize) -> bool,
) -> Result<Option<Tensor>> {
    let mut mask = Vec::with_capacity(rows * keys);
    for row in 0..rows {
        mask.extend((0..keys).map(|key| if seen(row, key) { 0.0f32 } else { f32::NEG_INFINITY }));
    }
    if mask.iter().all(|&m| m == 0.0) {
        return Ok(None);
    }
    Tensor::from_vec(mask, (rows, keys), device).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_memory_is_told_from_other_failures() {
        let from = |message: &str| ForwardError::from(candle_core::Error::msg(message));
        // As cudarc 0.19 writes them.
        for message in [
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"<Failure when calling cuGetErrorString()>\")",
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
        ] {
            let error = from(message);
            let ForwardError::OutOfMemory { reason } = &error else { panic!("{error}") };
            assert_eq!(reason, message);
            let context = candle_core::Error::msg(message).context("in a layer");
            assert!(matches!(ForwardError::from(context), ForwardError::OutOfMemory { .. }));
        }
        for message in [
            "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")",
            "CublasError(CUBLAS_STATUS_EXECUTION_FAILED)",
            "shape mismatch in matmul",
        ] {
            assert!(matches!(from(message), ForwardError::Device { .. }), "{message}");
        }
    }
}

//! A forward pass: the request for it, and its layout in rows and positions.

use std::ops::Range;
use std::path::PathBuf;

use super::kv_cache::{KvCache, Link, SegmentError, SegmentId};
use crate::kernels::memory::NoMemory;

/// A run of tokens to compute in a pass. It continues `prefix`, the chain of segments (root first) computed in earlier
/// passes or earlier in this one.
///
/// If keys and values are already cached under the id, with the same prefix, the tokens are appended to that
/// segment: this is how a sequence is decoded, one token per pass. No other segment may continue it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Id, by which later segments continue this one.
    pub id: SegmentId,
    /// Chain of segments before it, root first.
    pub prefix: Vec<SegmentId>,
    /// At least one token id.
    pub tokens: Vec<u32>,
}

/// A row of a pass whose logits are requested: the prediction of the token after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Index of the segment in the pass.
    pub segment: usize,
    /// Index of the token in that segment's tokens of this pass.
    pub token: usize,
}

/// Why a forward pass fails. The cached keys and values are then unchanged.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ForwardError {
    /// A segment doesn't fit the tree of cached segments.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Segment(#[from] SegmentError),
    /// A segment without tokens.
    #[error("segment {} has no tokens", id.0)]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    Empty { id: SegmentId },
    /// A row that isn't in the pass.
    #[error("logits of token {token} of segment {segment} are wanted, which the pass does not have")]
    #[diagnostic(code(assay::engine), help("this is a fault in assay's plan of passes; please report it"))]
    NoSuchRow {
        /// As in [`Row`].
        segment: usize,
        /// As in [`Row`].
        token: usize,
    },
    /// A KV cache of another shape or dtype, so of another model.
    #[error("the keys and values given to {} are another model's", path.display())]
    #[diagnostic(code(assay::engine), help("this is a fault in assay; please report it"))]
    OtherModel { path: PathBuf },
    /// The tokenizer has a token id that the model doesn't have.
    #[error("{}: token id {token}, expected below {vocab_size}, the rows of the embedding", path.display())]
    #[diagnostic(
        code(assay::input),
        help("tokenizer and model do not belong together; pass the model's own with --tokenizer")
    )]
    TokenOutOfRange { path: PathBuf, token: u32, vocab_size: usize },
    /// More positions than the model's maximum.
    #[error("{}: {length} tokens, expected at most {max_length}, the model's context", path.display())]
    #[diagnostic(code(assay::input), help("shorten the context, for example with fewer shots"))]
    TooLong {
        path: PathBuf,
        /// Including the prefix.
        length: usize,
        max_length: usize,
    },
    /// Non-finite results.
    #[error("{}: {what} after token {token} of segment {} are not finite", path.display(), id.0)]
    #[diagnostic(
        code(assay::engine),
        help(
            "the weights hold NaN or infinity, or overflow in this dtype; try --dtype bfloat16 or float32, or fetch the weights again"
        )
    )]
    NotFinite {
        path: PathBuf,
        /// Logits, or keys and values.
        what: &'static str,
        id: SegmentId,
        /// Index of the token in the segment's tokens of this pass.
        token: usize,
    },
    /// The device has no memory for the pass. Fewer rows may fit.
    #[error("memory ran out on the model's device: {reason}")]
    #[diagnostic(
        code(assay::engine),
        help(
            "bound the keys and values that are kept with --kv-memory, or use --dtype bfloat16, fewer shots or a smaller model"
        )
    )]
    OutOfMemory {
        /// From the device or the allocator.
        reason: String,
    },
    /// Any other failure of the device.
    #[error("the forward pass failed on its device: {reason}")]
    #[diagnostic(
        code(assay::engine),
        help("check the device and its driver, or use --device cpu; otherwise please report it")
    )]
    Device {
        /// As the device reports it.
        reason: String,
    },
}

impl From<NoMemory> for ForwardError {
    fn from(error: NoMemory) -> Self {
        ForwardError::OutOfMemory { reason: format!("no room for {} bytes", error.bytes) }
    }
}

/// Layout of a pass: the tokens of all segments as consecutive rows.
pub struct Layout {
    pub tokens: Vec<u32>,
    /// One per row.
    pub positions: Vec<usize>,
    pub segments: Vec<Placed>,
}

/// A segment's rows in the pass.
pub struct Placed {
    pub id: SegmentId,
    pub rows: Range<usize>,
    /// What it continues, root first; last itself if it grows.
    pub links: Vec<Link>,
}

impl Layout {
    /// Opens all segments in `kv`; if one fails, those already opened are rolled back.
    pub fn open(segments: &[Segment], kv: &mut KvCache) -> Result<Self, SegmentError> {
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

    /// Ids of the segments, in the order in which they were opened.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = SegmentId> {
        self.segments.iter().map(|placed| placed.id)
    }
}

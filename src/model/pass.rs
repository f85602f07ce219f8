//! A forward pass as it is asked for, and as it is laid out: rows and positions.

use std::ops::Range;
use std::path::PathBuf;

use super::kv_cache::{KvCache, Link, SegmentError, SegmentId};
use crate::kernels::memory::NoMemory;

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

impl From<NoMemory> for ForwardError {
    fn from(error: NoMemory) -> Self {
        ForwardError::OutOfMemory { reason: format!("no room for {} bytes", error.bytes) }
    }
}

/// A pass laid out: all segments' tokens in one run of rows.
pub struct Layout {
    pub tokens: Vec<u32>,
    /// Of each row.
    pub positions: Vec<usize>,
    pub segments: Vec<Placed>,
}

/// A segment's place in the pass.
pub struct Placed {
    pub id: SegmentId,
    pub rows: Range<usize>,
    /// What it continues, root first; itself last where it grows.
    pub links: Vec<Link>,
}

impl Layout {
    /// Opens all segments in `kv`; those opened are rolled back where one fails.
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

    /// In the order in which they were opened.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = SegmentId> {
        self.segments.iter().map(|placed| placed.id)
    }
}

//! Answers requests: plans all of them as one tree of tokens, computes each node once, reads the scores off.
//!
//! A later fast path replaces [`Forward`] and nothing else.

mod draft;
mod forward;
mod generate;
mod part;
mod plan;
mod rounding;
mod run;
mod schedule;
mod score;
mod sequence;
mod tree;

pub use draft::Speculation;
pub use forward::{Forward, Loaded};
pub use plan::walk_through;
pub use rounding::{half_ulp, is_near_tie};
pub use run::{Answer, Engine, EngineError, Heard, Work};
pub use schedule::{ROWS_PER_PASS, sequences};
pub use score::{LogSoftmax, Score, log_softmax};
pub use sequence::Sequence;
pub use tree::TokenTree;

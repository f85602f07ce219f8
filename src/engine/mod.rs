//! Answering requests: the [`Engine`] interface, and the in-process engine, which arranges all requests as
//! one tree of tokens, computes each node once, and reads the scores off the logits.

mod draft;
mod dry_run;
mod forward;
mod generate;
mod identity;
mod local;
mod part;
mod request_tree;
mod rounding;
mod schedule;
mod score;
mod seam;
mod sequence;
mod tree;
mod work;

pub use draft::Speculation;
pub use dry_run::dry_run;
pub use forward::{Forward, LoadedModel};
pub use identity::{CODE, EngineIdentity, Numerics};
pub use local::LocalEngine;
pub use request_tree::RequestTree;
pub use rounding::{half_ulp, is_near_tie};
pub use schedule::ROWS_PER_PASS;
pub use score::{LogSoftmax, Score, log_softmax};
pub use seam::{Engine, EngineEvent, RequestLimits};
pub use sequence::Sequence;
pub use tree::TokenTree;
pub use work::{Answer, EngineError, Work};

//! Runs of other harnesses: their files, read into plain data.

mod files;
mod harness;
mod pairing;
mod read;
mod run;
mod write_out;

pub use pairing::{RequestsByTask, compared_foreign};
pub use read::{is_foreign, read_foreign};
pub use run::{ForeignError, ForeignRun, ForeignTask};

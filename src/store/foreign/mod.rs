//! Runs that other harnesses made: their files, read into plain data.

mod files;
mod harness;
mod pairing;
mod read;
mod run;
mod write_out;

pub use pairing::{AskedOf, compared_foreign};
pub use read::{is_foreign, read_foreign};
pub use run::{ForeignError, ForeignRun, ForeignTask};

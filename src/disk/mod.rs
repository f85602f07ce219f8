//! The one door to files: what is opened is a regular file of a bounded size, and what is written is never reached through a link.
//!
//! Files come from strangers: a named pipe waits for ever, `/dev/zero` never ends, and a link in a folder that was fetched leads to a
//! file of the user's. No other room names the functions of the standard library that open files (`tests/house`).

mod owner;
mod read;
mod temporary;
mod write;

pub use owner::stranger;
pub use read::{DATA, RECORDS, TEXT, TOKENIZER, open, read, read_named, read_text};
pub use temporary::scratch;
pub use write::{Access, open_own, own_folder, replace, sync_folder};

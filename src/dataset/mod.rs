//! Rows of a benchmark: from a folder in the hub's layout, from the built-in samples, or from a user's own files.

mod csv;
mod jsonl;
mod manifest;
mod parquet;
mod store;

pub use manifest::Manifest;
pub use store::{DatasetError, DatasetStore, Split};

//! Rows of a benchmark: from a folder in the hub's layout, from the built-in samples, or from a user's own files.

mod columns;
mod content;
mod csv;
mod jsonl;
mod layout;
mod manifest;
mod parquet;
mod store;

pub use manifest::{DeclaredSplit, Manifest, ManifestError};
pub use store::{DatasetError, DatasetStore, Split};

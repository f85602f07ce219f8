//! Rows of a benchmark: from a folder in the hub's layout, from the built-in samples, or from a user's own files.

mod arrow_schema;
mod columns;
mod content;
mod csv;
mod error;
mod json_text;
mod jsonl;
mod layout;
mod manifest;
mod parquet;
mod parquet_kinds;
mod parquet_layout;
mod room;
mod store;

pub use error::DatasetError;
pub use manifest::{DeclaredSplit, Manifest, ManifestError};
pub use parquet::read as read_parquet;
pub use store::{DatasetStore, Split};

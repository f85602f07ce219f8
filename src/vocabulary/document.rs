//! One question of a benchmark.

use serde_json::{Map, Value};

/// A dataset row: column name to value, in the file's column order.
pub type Row = Map<String, Value>;

/// A row of the evaluation split, at its position in the task.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Position among the task's documents, after any shuffle.
    pub doc_id: usize,
    /// Position in the split's file, from 0.
    pub row: usize,
    pub columns: Row,
}

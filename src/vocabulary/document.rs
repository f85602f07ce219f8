//! One question of a benchmark.

use super::cell::Row;

/// A row of the evaluation split, at its position in the task.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Position among the task's documents, after any shuffle.
    pub doc_id: usize,
    /// Position in the split's file, from 0.
    pub row: usize,
    pub columns: Row,
}

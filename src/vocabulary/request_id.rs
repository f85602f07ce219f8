//! Identifies a request of a run.

/// A request by its position in a run. It is a request's only id: engines report answers with it, and answers
/// are stored under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    /// Index among the run's tasks.
    pub task: usize,
    /// Index among the task's documents: its `doc_id`.
    pub document: usize,
    /// Index among the document's requests.
    pub request: usize,
}

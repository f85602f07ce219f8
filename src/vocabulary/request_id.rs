//! Which request of a run.

/// A request by its place in a run. It is a request's one name: engines answer by it, and answers are kept under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    /// Among the run's tasks.
    pub task: usize,
    /// Among the task's documents: its `doc_id`.
    pub document: usize,
    /// Among the document's requests.
    pub request: usize,
}

//! What a comparison with a parent found over all columns together.

use super::rows::Row;
use crate::statistics::Settling;

/// The one answer to "is the merge better than this parent?".
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// Columns (or tasks, where none is of a suite) whose documents were compared.
    pub columns: usize,
    /// Columns of the suite, if they are a suite's; more than were compared, or over all of their documents.
    pub of: Option<usize>,
    /// Whether every column of the suite is in it, over all of its documents.
    pub whole: bool,
    /// Scores, difference, interval, p-value and verdict over these columns, each weighed as in the average.
    pub together: Row,
    /// Documents that would settle it; `None` if it is settled.
    pub settling: Option<Settling>,
}

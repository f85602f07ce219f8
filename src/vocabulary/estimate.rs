//! A score and how far to trust it.

/// A metric over the documents of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The metric's aggregate, as a fraction where the metric is one.
    pub value: f64,
    /// Standard error of `value`; none below two documents, or where the aggregation has none.
    pub stderr: Option<f64>,
    /// Documents.
    pub n: usize,
}

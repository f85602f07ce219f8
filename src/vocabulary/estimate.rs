//! A score and its standard error.

/// A metric over the documents of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The metric's aggregate, as a fraction where the metric is one.
    pub value: f64,
    /// Standard error of `value`; `None` below two documents, or if the aggregation has none.
    pub stderr: Option<f64>,
    /// Number of documents.
    pub n: usize,
}

//! Metrics that cannot be bound or computed.

use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;

use crate::task::{Declared, Place, closest};

/// Why metrics cannot be bound or computed.
#[derive(Debug, Error, Diagnostic)]
pub enum MetricError {
    /// A name that is not registered.
    #[error("{place}: unknown {kind} `{name}`")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Unknown {
        place: Place,
        /// Metric, filter or aggregation.
        kind: &'static str,
        name: String,
        /// The closest name, or all names.
        hint: String,
    },
    /// An invalid argument.
    #[error("{place}: {what}")]
    #[diagnostic(code(assay::input), help("compare with the metrics and filters that the README lists"))]
    Argument {
        /// The place of the metric or filter in its file.
        place: Place,
        what: String,
    },
    /// A document that a metric cannot score.
    #[error("task `{task}`, document {doc_id} (row {row}): {what}")]
    #[diagnostic(
        code(assay::engine),
        help("the document gets no number: look at its samples, and at the task file's targets")
    )]
    Document { task: Arc<str>, doc_id: usize, row: usize, what: String },
}

impl MetricError {
    /// A name that is none of `known`.
    pub(super) fn unknown(declared: &Declared, kind: &'static str, known: &[&str]) -> Self {
        let hint = match closest(&declared.function, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        Self::Unknown { place: declared.place.clone(), kind, name: declared.function.clone(), hint }
    }
}

//! Metrics that cannot be bound or computed.

use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;

use crate::task::{Declared, Place, closest};

/// Metrics cannot be bound or computed.
#[derive(Debug, Error, Diagnostic)]
pub enum MetricError {
    /// A name that nothing is registered under.
    #[error("{place}: unknown {kind} `{name}`")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Unknown {
        /// Where it stands.
        place: Place,
        /// Metric, filter or aggregation.
        kind: &'static str,
        /// The name.
        name: String,
        /// What was probably meant.
        hint: String,
    },
    /// An argument that does not fit.
    #[error("{place}: {what}")]
    #[diagnostic(code(assay::input), help("compare with the metrics and filters that the README lists"))]
    Argument {
        /// Where the metric or filter stands.
        place: Place,
        /// The fault.
        what: String,
    },
    /// A document that a metric cannot value.
    #[error("task `{task}`, document {doc_id} (row {row}): {what}")]
    #[diagnostic(
        code(assay::engine),
        help("the document gets no number: look at its samples, and at the task file's targets")
    )]
    Document {
        /// The task.
        task: Arc<str>,
        /// The document.
        doc_id: usize,
        /// Its row.
        row: usize,
        /// The fault.
        what: String,
    },
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

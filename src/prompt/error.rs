//! Requests that cannot be built.

use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;

use crate::dataset::DatasetError;
use crate::task::TemplateError;

/// Requests cannot be built.
#[derive(Debug, Error, Diagnostic)]
pub enum PromptError {
    /// No rows.
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Dataset {
        /// The task.
        task: Arc<str>,
        /// The fault.
        source: DatasetError,
        /// What to do.
        hint: String,
    },
    /// A template.
    #[error("task `{task}`, row {row} of `{split}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Template {
        /// The task.
        task: Arc<str>,
        /// The row, from 0.
        row: usize,
        /// Its split.
        split: String,
        /// The fault.
        source: TemplateError,
        /// What to do.
        hint: String,
    },
    /// A document whose values cannot be asked.
    #[error("task `{task}`, row {row} of `{split}`: {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Document {
        /// The task.
        task: Arc<str>,
        /// The row, from 0.
        row: usize,
        /// Its split.
        split: String,
        /// The fault.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// Fewer rows than shots.
    #[error("task `{task}`: {wanted} shots asked for, `{split}` has {found} rows to draw them from")]
    #[diagnostic(code(assay::input), help("ask for fewer with --num-fewshot, or give the whole dataset"))]
    TooFewShots {
        /// The task.
        task: Arc<str>,
        /// Shots a document needs.
        wanted: usize,
        /// Where they come from.
        split: String,
        /// Rows there.
        found: usize,
    },
}

/// What a fault says to do.
pub fn hint(fault: &dyn Diagnostic) -> String {
    fault.help().map(|help| help.to_string()).unwrap_or_default()
}

//! Tasks that cannot be made ready.

use miette::Diagnostic;
use thiserror::Error;

use crate::metric::MetricError;
use crate::prompt::PromptError;
use crate::tokenizer::TokenizerError;

/// A task cannot be made ready.
#[derive(Debug, Error, Diagnostic)]
pub enum PrepareError {
    /// Its metrics.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metric(#[from] MetricError),
    /// Its prompts.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Prompt(#[from] PromptError),
    /// Its tokens.
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Tokenizer {
        /// The task.
        task: String,
        /// The fault.
        source: TokenizerError,
        /// What to do.
        hint: String,
    },
    /// A request that the model cannot be fed.
    #[error("task `{task}`, document {doc_id} (row {row}): {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Request {
        /// The task.
        task: String,
        /// The document.
        doc_id: usize,
        /// Its row.
        row: usize,
        /// The fault.
        what: String,
        /// What to do.
        hint: String,
    },
}

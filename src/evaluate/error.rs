//! Tasks that cannot be prepared.

use miette::Diagnostic;
use thiserror::Error;

use crate::metric::MetricError;
use crate::prompt::PromptError;
use crate::tokenizer::TokenizerError;

/// Why a task cannot be prepared.
#[derive(Debug, Error, Diagnostic)]
pub enum PrepareError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metric(#[from] MetricError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Prompt(#[from] PromptError),
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Tokenizer { task: String, source: TokenizerError, hint: String },
    /// A request that the model's limits do not allow.
    #[error("task `{task}`, document {doc_id} (row {row}): {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Request { task: String, doc_id: usize, row: usize, what: String, hint: String },
}

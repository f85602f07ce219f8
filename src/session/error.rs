//! A run that cannot be prepared, begun or finished.

use miette::Diagnostic;
use thiserror::Error;

use crate::engine::EngineError;
use crate::evaluate::{EvaluateError, PrepareError};
use crate::model::LoadError;
use crate::store::{JournalError, RecordError, StoreError};
use crate::task::TaskError;
use crate::tokenizer::TokenizerError;
use crate::tokenizer::gguf::GgufTokenizerError;

/// Why a run cannot go on.
#[derive(Debug, Error, Diagnostic)]
pub enum SessionError {
    /// The model.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Load(#[from] LoadError),
    /// A task.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Prepare(#[from] PrepareError),
    /// A suite.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Task(#[from] TaskError),
    /// The engine, or a plan for it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Engine(#[from] EngineError),
    /// An answer, or what becomes of it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The tokenizer.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The tokenizer of a GGUF file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    GgufTokenizer(#[from] GgufTokenizerError),
    /// The run's folder.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Folder(#[from] StoreError),
    /// The run's journal is of another run.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Journal(#[from] JournalError),
    /// The run's journal fails.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Record(#[from] RecordError),
    /// Something that is missing or cannot be written.
    #[error("{what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Input {
        /// The fault.
        what: String,
        /// What to do.
        hint: String,
    },
    /// Weights that cannot be hashed, or that changed.
    #[error("{what}")]
    #[diagnostic(code(assay::engine), help("start again once nobody writes to the model's files"))]
    Weights {
        /// The fault.
        what: String,
    },
}

impl SessionError {
    /// Bad input that no room below has a name for.
    pub fn input(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { what: what.into(), hint: hint.into() }
    }
}

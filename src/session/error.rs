//! Errors of preparing, starting or finishing a run.

use miette::Diagnostic;
use thiserror::Error;

use crate::engine::EngineError;
use crate::evaluate::{EvaluateError, PrepareError};
use crate::model::LoadError;
use crate::store::{JournalError, RecordError, StoreError};
use crate::task::{ChatTemplateError, TaskError};
use crate::tokenizer::TokenizerError;
use crate::tokenizer::gguf::GgufTokenizerError;

/// Why a run cannot continue.
#[derive(Debug, Error, Diagnostic)]
pub enum SessionError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Task(#[from] TaskError),
    /// The engine, or the plan for it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Engine(#[from] EngineError),
    /// Answering or scoring.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    GgufTokenizer(#[from] GgufTokenizerError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Chat(#[from] ChatTemplateError),
    /// The run's folder.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Folder(#[from] StoreError),
    /// The run's journal belongs to another run.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Journal(#[from] JournalError),
    /// The run's journal cannot be read or written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Record(#[from] RecordError),
    /// A tokenizer that is not the model's.
    #[error("{what}")]
    #[diagnostic(
        code(assay::input),
        help(
            "give the model its own tokenizer's files, or go on with --allow-other-tokenizer, which run.json records"
        )
    )]
    OtherTokenizer { what: String },
    /// Something that is missing or cannot be written.
    #[error("{what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Input { what: String, hint: String },
    /// Weights that cannot be hashed, or that changed.
    #[error("{what}")]
    #[diagnostic(code(assay::engine), help("start again once nobody writes to the model's files"))]
    Weights { what: String },
}

impl SessionError {
    /// Bad input for which no room below has an error of its own.
    pub fn input(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input { what: what.into(), hint: hint.into() }
    }
}

//! Requests that cannot be built.

use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;

use crate::bounds::NoRoom;
use crate::dataset::DatasetError;
use crate::task::{ChatTemplateError, TemplateError};

/// Why requests cannot be built.
#[derive(Debug, Error, Diagnostic)]
pub enum PromptError {
    /// Rows that cannot be read.
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Dataset { task: Arc<str>, source: DatasetError, hint: String },
    /// A template that fails.
    #[error("task `{task}`, row {row} of `{split}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Template {
        task: Arc<str>,
        /// The row, from 0.
        row: usize,
        split: String,
        source: TemplateError,
        hint: String,
    },
    /// A chat template that refuses a conversation, or fails.
    #[error("task `{task}`, row {row} of `{split}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Chat {
        task: Arc<str>,
        /// The row, from 0.
        row: usize,
        split: String,
        source: ChatTemplateError,
        hint: String,
    },
    /// A document whose values make no valid request.
    #[error("task `{task}`, row {row} of `{split}`: {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Document {
        task: Arc<str>,
        /// The row, from 0.
        row: usize,
        split: String,
        what: String,
        hint: &'static str,
    },
    /// Prompts that take more memory than there is.
    #[error("task `{task}`: the prompts of {documents} documents take {no_room}")]
    #[diagnostic(
        code(assay::input),
        help(
            "ask for fewer documents with --limit or for fewer shots, shorten the task's templates, or free some memory"
        )
    )]
    TooLarge {
        task: Arc<str>,
        /// Those that were built so far.
        documents: usize,
        no_room: NoRoom,
    },
    /// Fewer rows than shots.
    #[error("task `{task}`: {wanted} shots asked for, `{split}` has {found} rows to draw them from")]
    #[diagnostic(code(assay::input), help("ask for fewer with --num-fewshot, or give the whole dataset"))]
    TooFewShots {
        task: Arc<str>,
        /// Shots that a document needs.
        wanted: usize,
        /// The split that they are drawn from.
        split: String,
        /// Rows of that split.
        found: usize,
    },
}

/// The help text of an error; empty if it has none.
pub fn hint(fault: &dyn Diagnostic) -> String {
    fault.help().map(|help| help.to_string()).unwrap_or_default()
}

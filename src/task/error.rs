//! Task files that cannot be used.

use miette::Diagnostic;
use thiserror::Error;

use super::fields::SchemaError;
use super::template::TemplateError;
use super::yaml_value::Place;

/// Task files cannot be found, read or understood.
#[derive(Debug, Error, Diagnostic)]
pub enum TaskError {
    /// A file's content is invalid.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Schema(#[from] SchemaError),
    /// A file or folder cannot be read.
    #[error("{path}: cannot be read: {source}")]
    #[diagnostic(code(assay::input), help("check that the path exists and is readable"))]
    Unreadable { path: String, source: std::io::Error },
    /// An include that cannot be read.
    #[error("{place}: the included file {path} cannot be read: {source}")]
    #[diagnostic(code(assay::input), help("an include is a path beside the file that names it"))]
    Include { place: Place, path: String, source: std::io::Error },
    /// No task of this name.
    #[error("unknown task `{name}`")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Unknown { name: String, hint: String },
    /// Two files declare one name.
    #[error("{place}: `{name}` is declared here and at {other}")]
    #[diagnostic(code(assay::input), help("give one of them another name"))]
    Twice {
        /// The second declaration.
        place: Place,
        name: String,
        /// The first.
        other: Place,
    },
    /// One task with two sets of keys, by two groups.
    #[error("task `{name}` is asked for twice, with other keys each time")]
    #[diagnostic(code(assay::input), help("groups set keys in their tasks: run one of the groups at a time"))]
    Ambiguous { name: String },
    /// An include that includes itself, directly or through others.
    #[error("{place}: the includes of this file run in a circle")]
    #[diagnostic(code(assay::input), help("a file must not include itself, directly or through others"))]
    Circle { place: Place },
    /// A file that is not UTF-8 text.
    #[error("{path}: no UTF-8 text")]
    #[diagnostic(code(assay::input), help("save the file as UTF-8"))]
    NotText { path: String },
}

impl From<TemplateError> for TaskError {
    fn from(error: TemplateError) -> Self {
        TaskError::Schema(error.into())
    }
}

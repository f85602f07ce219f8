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
    /// A folder of task files that has none.
    #[error("{path}: no task files in this folder: none ends in .yaml or .yml")]
    #[diagnostic(
        code(assay::input),
        help("give the folder that the task files are in, or leave --include out")
    )]
    NoFiles { path: String },
    /// A file in the place of a folder of task files.
    #[error("{path}: a file, expected a folder of task files")]
    #[diagnostic(code(assay::input), help("give the folder that it is in"))]
    NotAFolder { path: String },
    /// An include that cannot be read.
    #[error("{place}: the included file {path} cannot be read: {source}")]
    #[diagnostic(code(assay::input), help("an include is a path beside the file that names it"))]
    Include { place: Place, path: String, source: std::io::Error },
    /// No task of this name.
    #[error("unknown task `{name}`")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Unknown { name: String, hint: String },
    /// A group lists a name that nothing has.
    #[error("{place}: group `{group}` lists `{name}`, and there is no such task, tag or group")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    UnknownMember { place: Place, group: String, name: String, hint: String },
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

impl TaskError {
    /// An unknown `member` of the group `group`, which is declared at `place`; another error as it is.
    pub fn of_member(self, place: &Place, group: &str, member: &str) -> Self {
        match self {
            TaskError::Unknown { name, hint } if name == member => {
                TaskError::UnknownMember { place: place.clone(), group: group.to_string(), name, hint }
            }
            error => error,
        }
    }
}

impl From<TemplateError> for TaskError {
    fn from(error: TemplateError) -> Self {
        TaskError::Schema(error.into())
    }
}

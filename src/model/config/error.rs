//! What is wrong with a model's configuration.

use std::path::PathBuf;

use crate::model::files::gguf_value::GgufError;

/// What is wrong with a model's configuration.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {}: {reason}", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "a model folder needs config.json and its safetensors files; check the path and its permissions"
        )
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// From the system.
        reason: std::io::Error,
    },
    /// It isn't JSON.
    #[error("{}:{line}:{column}: not valid JSON: {reason}", path.display())]
    #[diagnostic(code(assay::input), help("config.json may be cut off or edited by hand; fetch it again"))]
    Json {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// A key without which there is no model.
    #[error("{}: `{key}` is missing, expected {expected}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("assay guesses no sizes: add the key with the value the model was trained with")
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What belongs there.
        expected: String,
    },
    /// A key with a value that can't be.
    #[error("{}: `{key}` is {found}, expected {expected}", path.display())]
    #[diagnostic(code(assay::input), help("correct the key, or fetch the model's configuration again"))]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What belongs there.
        expected: String,
    },
    /// A key that asks for arithmetic that isn't here.
    #[error("{}: `{key}` is {found}, which assay does not compute (it computes {computes})", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "scores from a wrong forward pass would be worthless, so assay stops here; evaluate another model or another export of this one"
        )
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What is supported.
        computes: String,
    },
}

/// Why the metadata gives no configuration.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum GgufConfigError {
    /// A key is missing or of another type.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metadata(#[from] GgufError),
    /// A value can't be, or asks for what isn't computed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
}

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
    Read { path: PathBuf, reason: std::io::Error },
    /// It isn't JSON.
    #[error("{}:{line}:{column}: not valid JSON: {reason}", path.display())]
    #[diagnostic(code(assay::input), help("config.json may be cut off or edited by hand; fetch it again"))]
    Json {
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// A required key is missing.
    #[error("{}: `{key}` is missing, expected {expected}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("assay guesses no sizes: add the key with the value the model was trained with")
    )]
    Missing { path: PathBuf, key: String, expected: String },
    /// A key with an invalid value.
    #[error("{}: `{key}` is {found}, expected {expected}", path.display())]
    #[diagnostic(code(assay::input), help("correct the key, or fetch the model's configuration again"))]
    Value { path: PathBuf, key: String, found: String, expected: String },
    /// A key that requires unsupported arithmetic.
    #[error("{}: `{key}` is {found}, which assay does not compute (it computes {computes})", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "scores from a wrong forward pass would be worthless, so assay stops here; evaluate another model or another export of this one"
        )
    )]
    Unsupported {
        path: PathBuf,
        key: String,
        found: String,
        /// What is supported instead.
        computes: String,
    },
}

/// Why GGUF metadata gives no configuration.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum GgufConfigError {
    /// A key is missing or of another type.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metadata(#[from] GgufError),
    /// A value is invalid, or requires something unsupported.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
}

//! What is wrong with a model's configuration.

use std::path::PathBuf;

use crate::model::files::gguf_value::GgufError;
use crate::vocabulary::FETCH_LFS;

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
    /// A pointer that git-lfs left in its place.
    #[error("{}: a pointer of git-lfs, not the file itself", path.display())]
    #[diagnostic(code(assay::input), help("{FETCH_LFS}"))]
    Pointer { path: PathBuf },
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
    /// `model_type` and `architectures` name different architectures.
    #[error("{}: `model_type` is \"{model_type}\", but `architectures` is [\"{class}\"], whose `model_type` is \"{expected}\"", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "the weights are of one of the two: transformers goes by model_type; set both keys to those of the model that this one was made of"
        )
    )]
    Family {
        path: PathBuf,
        model_type: String,
        class: String,
        /// The `model_type` of the class.
        expected: String,
    },
    /// A key that changes what other architectures compute.
    #[error("{}: `{key}` is {found}, which {class} does not compute with (expected no such key, or {neutral})", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "the key is another architecture's and changes its scores, so the weights may be that architecture's: check model_type and architectures; remove the key if it is a mere leftover"
        )
    )]
    ForeignKey {
        path: PathBuf,
        key: String,
        found: String,
        /// The class that the file names.
        class: String,
        /// The value that changes nothing.
        neutral: String,
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

//! Why a model can't be loaded.

use std::path::PathBuf;

use super::config::error::{ConfigError, GgufConfigError};
use super::device::DeviceError;
use super::files::error::WeightsError;
use super::files::gguf_value::GgufError;

/// Why a model can't be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// Nothing exists at the path.
    #[error("{}: no such model: {reason}", path.display())]
    #[diagnostic(code(assay::input), help("pass a folder with config.json and safetensors, or a .gguf file"))]
    NotFound {
        /// As given.
        path: PathBuf,
        reason: std::io::Error,
    },
    /// A file that is a part of a model or none, or a folder of something else.
    #[error("{}: {what}", path.display())]
    #[diagnostic(code(assay::input), help("{hint}"))]
    NotAModel {
        /// As given.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to give instead.
        hint: String,
    },
    /// A folder without `config.json`.
    #[error("{}: no config.json in this folder", path.display())]
    #[diagnostic(code(assay::input), help("pass a folder as the hub lays it out, or the .gguf file itself"))]
    NoConfig { path: PathBuf },
    /// The configuration names no dtype, and the weights have more than one.
    #[error("{}: config.json names no dtype, and the weights are of several", path.display())]
    #[diagnostic(code(assay::input), help("say with --dtype which to compute in"))]
    NoDtype { path: PathBuf },
    /// `config.json` is invalid.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// A GGUF file is invalid.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Gguf(#[from] GgufError),
    /// The metadata of a GGUF file is not a valid configuration.
    #[error(transparent)]
    #[diagnostic(transparent)]
    GgufConfig(#[from] GgufConfigError),
    /// The weights can't be loaded.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Weights(#[from] WeightsError),
    /// The device can't be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Device(#[from] DeviceError),
}

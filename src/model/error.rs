//! Why a model can't be loaded.

use std::path::PathBuf;

use super::config::error::{ConfigError, GgufConfigError};
use super::device::DeviceError;
use super::files::error::WeightsError;
use super::files::gguf_value::GgufError;

/// Why a model can't be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// Nothing is there.
    #[error("{}: no such model: {reason}", path.display())]
    #[diagnostic(code(assay::input), help("pass a folder with config.json and safetensors, or a .gguf file"))]
    NotFound {
        /// As given.
        path: PathBuf,
        /// From the system.
        reason: std::io::Error,
    },
    /// A folder without configuration.
    #[error("{}: no config.json in this folder", path.display())]
    #[diagnostic(code(assay::input), help("pass a folder as the hub lays it out, or the .gguf file itself"))]
    NoConfig {
        /// The folder.
        path: PathBuf,
    },
    /// Neither configuration nor weights name one number format.
    #[error("{}: config.json names no dtype, and the weights are of several", path.display())]
    #[diagnostic(code(assay::input), help("say with --dtype which to compute in"))]
    NoDtype {
        /// The folder.
        path: PathBuf,
    },
    /// `config.json` is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// A GGUF file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Gguf(#[from] GgufError),
    /// A GGUF file's metadata is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    GgufConfig(#[from] GgufConfigError),
    /// The weights are wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Weights(#[from] WeightsError),
    /// The device can't be had.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Device(#[from] DeviceError),
}

//! What an architecture's file says.

use crate::model::config::architecture::Architecture;
use crate::model::config::error::{ConfigError, GgufConfigError};
use crate::model::config::hf_keys::HfKeys;
use crate::model::config::model_config::ModelConfig;
use crate::model::files::gguf::GgufFile;

/// An architecture, and how its configuration is read.
pub struct ArchitectureEntry {
    /// Its names.
    pub architecture: Architecture,
    /// Reads the configuration from the keys of `config.json`: sizes, flags and defaults, and refuses what is not computed.
    pub read_hf: fn(&HfKeys<'_>) -> Result<ModelConfig, ConfigError>,
    /// The same from GGUF metadata, where such files name it.
    pub read_gguf: Option<ReadGguf>,
}

/// Reads a configuration from GGUF metadata.
pub type ReadGguf = fn(&GgufFile) -> Result<ModelConfig, GgufConfigError>;

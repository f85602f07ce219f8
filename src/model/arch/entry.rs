//! An entry of the table of architectures.

use crate::model::config::architecture::Architecture;
use crate::model::config::error::{ConfigError, GgufConfigError};
use crate::model::config::hf_keys::HfKeys;
use crate::model::config::model_config::ModelConfig;
use crate::model::files::gguf::GgufFile;

/// An architecture, and how its configuration is read.
pub struct ArchitectureEntry {
    pub architecture: Architecture,
    /// Keys of `config.json` that change what is computed, that `config/foreign_keys.rs` lists, and that say here what `read_hf`
    /// knows.
    pub own_keys: &'static [&'static str],
    /// Reads sizes, flags and defaults from the keys of `config.json`. Rejects what isn't supported.
    pub read_hf: fn(&HfKeys<'_>) -> Result<ModelConfig, ConfigError>,
    /// The same from GGUF metadata; `None` if GGUF files don't name this architecture.
    pub read_gguf: Option<ReadGguf>,
}

/// Reads a configuration from GGUF metadata.
pub type ReadGguf = fn(&GgufFile) -> Result<ModelConfig, GgufConfigError>;

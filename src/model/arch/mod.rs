//! Architectures, one file each: how files name it, what its configuration means, and what is rejected.
//!
//! To add one, add a file, its `mod` line, and an element of [`ARCHITECTURES`].

mod entry;
mod llama;
mod mistral;
mod qwen2;

use std::path::Path;

use entry::ArchitectureEntry;
use serde_json::Value;

use super::config::error::{ConfigError, GgufConfigError};
use super::config::foreign_keys::{check_family, refuse_foreign};
use super::config::gguf_keys::unsupported;
use super::config::hf_keys::{HfKeys, read_object};
use super::config::model_config::ModelConfig;
use super::files::gguf::GgufFile;

static ARCHITECTURES: [&ArchitectureEntry; 3] = [&llama::LLAMA, &mistral::MISTRAL, &qwen2::QWEN2];

impl ModelConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`] if the file can't be read, isn't JSON, lacks a key, has an invalid value, requires
    /// something unsupported, or describes another architecture than it names.
    pub fn from_hf_file(path: &Path) -> Result<Self, ConfigError> {
        let map = read_object(path)?;
        let keys = HfKeys::new(path, &map);
        let entry = by_class(&keys)?;
        check_family(&keys, &entry.architecture)?;
        let mut model = (entry.read_hf)(&keys)?;
        refuse_foreign(&keys, entry.own_keys, &model)?;
        // `generate` of transformers reads this file if it exists; instruct models list more tokens here.
        let generation = path.with_file_name("generation_config.json");
        if generation.exists() {
            let map = read_object(&generation)?;
            for id in HfKeys::new(&generation, &map).eos_token_ids()? {
                if !model.eos_token_ids.contains(&id) {
                    model.eos_token_ids.push(id);
                }
            }
        }
        Ok(model)
    }
}

fn by_class(keys: &HfKeys<'_>) -> Result<&'static ArchitectureEntry, ConfigError> {
    let known = ARCHITECTURES.map(|entry| entry.architecture.class).join(", ");
    let value = keys.required("architectures", &known)?;
    let Some([Value::String(name)]) = value.as_array().map(Vec::as_slice) else {
        return Err(keys.wrong("architectures", value, "a list of one class name"));
    };
    let entry = ARCHITECTURES.into_iter().find(|entry| entry.architecture.class == name);
    entry.ok_or_else(|| keys.unsupported("architectures", value, &known))
}

/// Reads the metadata of an opened GGUF file.
///
/// # Errors
/// As [`ModelConfig::from_hf_file`].
pub fn config_from_gguf(file: &GgufFile) -> Result<ModelConfig, GgufConfigError> {
    const KEY: &str = "general.architecture";
    let metadata = &file.metadata;
    let name = metadata.string(KEY)?.ok_or_else(|| metadata.wrong(KEY, "a string"))?;
    let read = |entry: &&ArchitectureEntry| entry.read_gguf.filter(|_| entry.architecture.gguf == Some(name));
    match ARCHITECTURES.iter().find_map(read) {
        Some(read) => read(file),
        None => {
            let known: Vec<&str> = ARCHITECTURES.iter().filter_map(|entry| entry.architecture.gguf).collect();
            Err(unsupported(metadata, KEY, &known.join(" and ")).into())
        }
    }
}

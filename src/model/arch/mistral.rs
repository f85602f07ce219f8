//! Mistral: `modeling_mistral.py` of transformers. Llama with a sliding window in all layers, and without biases.

use serde_json::Value;

use super::entry::ArchitectureEntry;
use super::llama::{KvHeads, TENSORS, read_decoder};
use crate::model::config::architecture::Architecture;
use crate::model::config::error::ConfigError;
use crate::model::config::hf_keys::HfKeys;
use crate::model::config::model_config::ModelConfig;

/// `MistralForCausalLM`. Its GGUF files name `llama`.
pub static MISTRAL: ArchitectureEntry = ArchitectureEntry {
    architecture: Architecture {
        name: "Mistral",
        class: "MistralForCausalLM",
        model_type: "mistral",
        gguf: None,
        tensors: TENSORS,
        gguf_has_paired_rows: true,
    },
    own_keys: &[],
    read_hf,
    read_gguf: None,
};

fn read_hf(keys: &HfKeys<'_>) -> Result<ModelConfig, ConfigError> {
    keys.refuse_switch("attention_bias")?;
    keys.refuse_switch("mlp_bias")?;
    let config = read_decoder(keys, &MISTRAL.architecture, KvHeads::Required)?;
    // The class defaults to 4096; v0.2 and later have null.
    let window = keys.sliding_window(Some(4096))?;
    let windows = vec![window; config.layers];
    match keys.layer_types(config.layers, window)? {
        Some(types) if types != windows => Err(keys.unsupported(
            "layer_types",
            keys.get("layer_types").unwrap_or(&Value::Null),
            "one window for all layers",
        )),
        _ => Ok(ModelConfig { windows, ..config }),
    }
}

//! Qwen2: `modeling_qwen2.py` of transformers. Llama with biases on q, k and v, and an optional sliding
//! window in the upper layers.

use super::entry::ArchitectureEntry;
use super::llama::{KvHeads, TENSORS, read_decoder};
use crate::model::config::architecture::Architecture;
use crate::model::config::error::{ConfigError, GgufConfigError};
use crate::model::config::gguf_keys;
use crate::model::config::hf_keys::HfKeys;
use crate::model::config::model_config::ModelConfig;
use crate::model::files::gguf::GgufFile;

/// `Qwen2ForCausalLM`, `qwen2` in GGUF.
pub static QWEN2: ArchitectureEntry = ArchitectureEntry {
    architecture: Architecture {
        name: "Qwen2",
        class: "Qwen2ForCausalLM",
        model_type: "qwen2",
        gguf: Some("qwen2"),
        tensors: TENSORS,
        gguf_has_paired_rows: false,
    },
    own_keys: &["qkv_bias", "use_qkv_bias", "add_qkv_bias"],
    read_hf,
    read_gguf: Some(read_gguf),
};

fn read_hf(keys: &HfKeys<'_>) -> Result<ModelConfig, ConfigError> {
    keys.refuse_switch("attention_bias")?;
    keys.refuse_switch("mlp_bias")?;
    let config = read_decoder(keys, &QWEN2.architecture, KvHeads::Required)?;
    // Off, 4096 and 28 are the class's defaults.
    let window = if keys.flag("use_sliding_window")?.unwrap_or(false) {
        keys.sliding_window(Some(4096))?
    } else {
        None
    };
    let windows = match keys.layer_types(config.layers, window)? {
        Some(windows) => windows,
        None => {
            let first =
                keys.get("max_window_layers").map_or(Ok(28), |v| keys.whole("max_window_layers", v))?;
            (0..config.layers).map(|layer| window.filter(|_| layer >= first)).collect()
        }
    };
    Ok(ModelConfig { windows, qkv_bias: true, ..config })
}

fn read_gguf(file: &GgufFile) -> Result<ModelConfig, GgufConfigError> {
    let config = gguf_keys::read(file, &QWEN2.architecture, "qwen2")?;
    Ok(ModelConfig { qkv_bias: true, ..config })
}

//! Llama: `modeling_llama.py` of transformers, and what Mistral and Qwen2 have in common with it.

use super::entry::ArchitectureEntry;
use crate::model::config::architecture::Architecture;
use crate::model::config::error::{ConfigError, GgufConfigError};
use crate::model::config::gguf_keys;
use crate::model::config::hf_keys::{HfKeys, size_names};
use crate::model::config::model_config::ModelConfig;
use crate::model::config::tensor_role::TensorRole;
use crate::model::files::gguf::GgufFile;

/// `LlamaForCausalLM`, and `llama` in GGUF, which Mistral's files use too.
pub static LLAMA: ArchitectureEntry = ArchitectureEntry {
    architecture: Architecture {
        name: "Llama",
        class: "LlamaForCausalLM",
        model_type: "llama",
        gguf: Some("llama"),
        tensors: TENSORS,
        gguf_has_paired_rows: true,
    },
    own_keys: &[],
    read_hf,
    read_gguf: Some(read_gguf),
};

/// Names of tensors in Hugging Face checkpoints and in GGUF files (`gguf-py/gguf/tensor_mapping.py`).
pub const TENSORS: &[(TensorRole, &str, &str)] = &[
    (TensorRole::Embedding, "model.embed_tokens", "token_embd"),
    (TensorRole::FinalNorm, "model.norm", "output_norm"),
    (TensorRole::Head, "lm_head", "output"),
    (TensorRole::InputNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    (TensorRole::Query, "model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    (TensorRole::Key, "model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
    (TensorRole::Value, "model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    (TensorRole::Output, "model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    (TensorRole::PostNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
    (TensorRole::Gate, "model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    (TensorRole::Up, "model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    (TensorRole::Down, "model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
];

fn read_hf(keys: &HfKeys<'_>) -> Result<ModelConfig, ConfigError> {
    // Llama 1's files don't have the number of key heads.
    let config = read_decoder(keys, &LLAMA.architecture, KvHeads::AsQueryHeads)?;
    if let Some(found) = keys.get("sliding_window")
        && keys.flag("use_sliding_window")? != Some(false)
    {
        return Err(keys.unsupported("sliding_window", found, "full attention for this architecture"));
    }
    keys.layer_types(config.layers, None)?;
    let attention_bias = keys.flag("attention_bias")?.unwrap_or(false);
    Ok(ModelConfig {
        windows: vec![None; config.layers],
        qkv_bias: attention_bias,
        output_bias: attention_bias,
        mlp_bias: keys.flag("mlp_bias")?.unwrap_or(false),
        ..config
    })
}

/// GGUF has no window for this architecture, so Mistral's files lose theirs. Only contexts longer than the
/// window differ.
fn read_gguf(file: &GgufFile) -> Result<ModelConfig, GgufConfigError> {
    gguf_keys::read(file, &LLAMA.architecture, "llama")
}

/// The number of key heads if the file doesn't have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvHeads {
    /// As many as query heads.
    AsQueryHeads,
    /// An error: the class's default is right for one model size only.
    Required,
}

/// What Llama, Mistral and Qwen2 have in common, without biases and windows.
pub fn read_decoder(
    keys: &HfKeys<'_>,
    architecture: &'static Architecture,
    kv_heads: KvHeads,
) -> Result<ModelConfig, ConfigError> {
    keys.refuse_unsupported()?;
    let hidden_size = keys.size("hidden_size")?;
    let heads = keys.size("num_attention_heads")?;
    const KV_HEADS: &str = "num_key_value_heads";
    let kv_heads = match keys.map.get(KV_HEADS) {
        Some(serde_json::Value::Null) => heads,
        Some(value) => keys.whole(KV_HEADS, value)?,
        None if kv_heads == KvHeads::AsQueryHeads => heads,
        None => return Err(keys.missing(KV_HEADS, "a whole number")),
    };
    let config = ModelConfig {
        architecture,
        hidden_size,
        intermediate_size: keys.size("intermediate_size")?,
        layers: keys.size("num_hidden_layers")?,
        heads,
        kv_heads,
        head_dim: keys.head_dim(hidden_size, heads)?,
        vocab_size: keys.size("vocab_size")?,
        max_positions: keys.size("max_position_embeddings")?,
        rms_norm_eps: keys.number("rms_norm_eps", keys.required("rms_norm_eps", "a number")?)?,
        rope: keys.rope()?,
        windows: Vec::new(),
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        // False in the classes of all three architectures.
        tied_embeddings: keys.flag("tie_word_embeddings")?.unwrap_or(false),
        eos_token_ids: keys.eos_token_ids()?,
        dtype: keys.dtype()?,
    };
    config.check_sizes(keys.path, &size_names())?;
    Ok(config)
}

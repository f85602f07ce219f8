//! Configurations that are not of the architecture whose name they bear: another `model_type`, or keys that change what other
//! architectures compute and that this one does not have.
//!
//! transformers chooses a model's code by `model_type` and ignores keys that the code does not know, so weights of one architecture
//! under another one's name load and score, wrongly. The keys below are those of transformers' configuration classes (5.24) which
//! change a decoder's arithmetic and need not show in the names and shapes of its tensors. Keys that are not listed are free.

use serde_json::Value;

use super::architecture::Architecture;
use super::error::ConfigError;
use super::hf_keys::HfKeys;
use super::model_config::ModelConfig;

/// The values of a key that leave the arithmetic as it is without the key; null always does.
#[derive(Clone, Copy)]
enum Neutral {
    /// false, 0, `"none"`, lists of nothing else, and empty objects.
    Off,
    /// true.
    On,
    /// 1, and lists of nothing else.
    One,
    /// The number that is computed with anyway.
    Number(fn(&ModelConfig) -> f64),
    /// One of these words.
    Words(&'static [&'static str]),
    /// A list without 0 and false: the layers that rotate.
    AllOn,
}

use Neutral::{AllOn, Number, Off, On, One, Words};

/// Architectures below `model/arch/` read `attention_bias`, `mlp_bias`, `hidden_act`, `partial_rotary_factor`, `sliding_window`,
/// `use_sliding_window` and `layer_types` themselves.
const FOREIGN: [(&str, Neutral); 115] = [
    // Factors: Granite, Falcon-H1, Cohere, MiniCPM, Jais, HyperCLOVA, GPT-2.
    ("embedding_multiplier", One),
    ("residual_multiplier", One),
    ("attention_multiplier", Number(|config| (config.head_dim as f64).powf(-0.5))),
    ("logits_scaling", One),
    ("logit_scale", One),
    ("attention_in_multiplier", One),
    ("attention_out_multiplier", One),
    ("key_multiplier", One),
    ("lm_head_multiplier", One),
    ("mlp_multipliers", One),
    ("ssm_multipliers", One),
    ("scale_emb", One),
    ("scale_depth", Number(|config| (config.layers as f64).sqrt())),
    ("dim_model_base", Number(|config| config.hidden_size as f64)),
    ("embedding_scale", One),
    ("embeddings_scale", One),
    ("embed_scale", One),
    ("scale_embedding", Off),
    ("scale_embeddings", Off),
    ("normalize_embeddings", Off),
    ("residual_scale", One),
    ("logits_scale", One),
    ("output_multiplier", One),
    ("mup_enabled", Off),
    ("use_mup", Off),
    ("mup_width_scale", One),
    ("mup_embeddings_scale", One),
    ("mup_output_alpha", One),
    ("mup_scale_qk_dot_by_d", Off),
    ("scale_attn_weights", On),
    ("scale_attn_by_inverse_layer_idx", Off),
    ("softmax_scale", Number(|config| (config.head_dim as f64).powf(-0.5))),
    ("query_pre_attn_scalar", Number(|config| config.head_dim as f64)),
    ("attn_temperature_tuning", Off),
    ("use_logn_attn", Off),
    // Bounds: Gemma, OLMo, DBRX, gpt-oss.
    ("attn_logit_softcapping", Off),
    ("final_logit_softcapping", Off),
    ("attn_logit_softcap", Off),
    ("final_logit_softcap", Off),
    ("attention_logit_cap", Off),
    ("logits_soft_cap", Off),
    ("clip_qkv", Off),
    ("swiglu_limit", Off),
    // Norms: Cohere, Phi, StableLM, Llama 4, Falcon, OPT, Bloom.
    ("qk_norm", Off),
    ("use_qk_norm", Off),
    ("qk_layernorm", Off),
    ("use_qk_layernorm", Off),
    ("use_qk_rms_norm", Off),
    ("qk_ln", Off),
    ("use_post_norm", Off),
    ("use_post_layernorm", Off),
    ("post_norm", Off),
    ("do_layer_norm_before", On),
    ("apply_residual_connection_post_layernorm", Off),
    ("num_ln_in_parallel_attn", Off),
    ("norm_type", Words(&["rms_norm", "rmsnorm", "RMSNorm", "rms"])),
    // Biases: Qwen2, StableLM, Starcoder 2, Falcon, ChatGLM, Phi-MoE.
    ("qkv_bias", Off),
    ("use_qkv_bias", Off),
    ("add_qkv_bias", Off),
    ("use_bias", Off),
    ("add_bias_linear", Off),
    ("attention_out_bias", Off),
    ("lm_head_bias", Off),
    // Positions: GPT-NeoX, GPT-J, Gemma 3, SmolLM3, Llama 4, DeepSeek, Cohere, MPT, Falcon, Bloom.
    ("rotary_pct", One),
    ("rope_pct", One),
    ("rope_percentage", One),
    ("rotary_percentage", One),
    ("rotary_dim", Number(|config| config.head_dim as f64)),
    ("rotary_emb_base", Number(|config| config.rope.theta)),
    ("rope_local_base_freq", Number(|config| config.rope.theta)),
    ("rope_interleave", Off),
    ("rope_interleaved", Off),
    ("rotary_interleaved", Off),
    ("no_rope_layers", AllOn),
    ("no_rope_layer_interval", Off),
    ("nope_layer_interval", Off),
    ("use_rope", On),
    ("use_rotary_embeddings", On),
    ("use_dynamic_ntk", Off),
    ("position_embedding_type", Words(&["rope", "rotary"])),
    ("alibi", Off),
    ("use_alibi", Off),
    ("learned_pos_emb", Off),
    // What is seen: Gemma 2 and 3, Cohere 2, EXAONE 4, Llama 4, GPT-Neo, MPT, encoders.
    ("sliding_window_pattern", One),
    ("_sliding_window_pattern", One),
    ("global_attn_every_n_layers", One),
    ("attention_chunk_size", Off),
    ("attention_window_size", Off),
    ("window_size", Off),
    ("attention_types", Off),
    ("use_bidirectional_attention", Off),
    ("is_causal", On),
    ("prefix_lm", Off),
    ("is_encoder_decoder", Off),
    ("add_cross_attention", Off),
    ("pruned_heads", Off),
    // Order of branches, activations: GPT-NeoX, GPT-J, Falcon, Gemma.
    ("parallel_attn", Off),
    ("use_parallel_residual", Off),
    ("parallel_residual", Off),
    ("use_parallel_block", Off),
    ("hidden_activation", Words(&["silu", "swish"])),
    ("activation_function", Words(&["silu", "swish", "swiglu"])),
    ("activation_sparsity_pattern", Off),
    // Layers of other kinds: experts, shared keys and values, latent attention, states.
    ("num_experts", Off),
    ("num_local_experts", Off),
    ("n_routed_experts", Off),
    ("moe_num_experts", Off),
    ("n_shared_experts", Off),
    ("num_shared_experts", Off),
    ("enable_moe_block", Off),
    ("num_kv_shared_layers", Off),
    ("attention_k_eq_v", Off),
    ("use_cla", Off),
    ("per_layer_config", Off),
    ("hidden_size_per_layer_input", Off),
];

/// Rejects a configuration whose `model_type` names another architecture than its `architectures`.
///
/// # Errors
/// [`ConfigError::Family`]. A file without `model_type` passes.
pub fn check_family(keys: &HfKeys<'_>, architecture: &Architecture) -> Result<(), ConfigError> {
    match keys.get("model_type") {
        None => Ok(()),
        Some(Value::String(name)) if name == architecture.model_type => Ok(()),
        Some(Value::String(name)) => Err(ConfigError::Family {
            path: keys.path.to_owned(),
            model_type: name.clone(),
            class: architecture.class.to_owned(),
            expected: architecture.model_type.to_owned(),
        }),
        Some(value) => Err(keys.wrong("model_type", value, &format!("\"{}\"", architecture.model_type))),
    }
}

/// Rejects a configuration with a key that changes what is computed and is no key of its architecture. `own` are the keys that the
/// architecture has.
///
/// # Errors
/// [`ConfigError::ForeignKey`], for the first such key of the file.
pub fn refuse_foreign(keys: &HfKeys<'_>, own: &[&str], config: &ModelConfig) -> Result<(), ConfigError> {
    for (key, value) in keys.map {
        let Some((_, neutral)) = FOREIGN.iter().find(|(name, _)| name == key) else { continue };
        if own.contains(&key.as_str()) || neutral.holds(value, config) || is_unused(key, keys, config) {
            continue;
        }
        return Err(keys.foreign(key, value, config.architecture.class, neutral.shown(config)));
    }
    Ok(())
}

/// Whether other keys of the file leave a key without effect, as the classes read them that have it.
fn is_unused(key: &str, keys: &HfKeys<'_>, config: &ModelConfig) -> bool {
    match key {
        // They say which layers slide, and `layer_types` says it instead.
        "sliding_window_pattern" | "_sliding_window_pattern" | "global_attn_every_n_layers" => {
            config.windows.iter().all(Option::is_none) || keys.get("layer_types").is_some()
        }
        // The layers by number; the list of layers says it instead.
        "no_rope_layer_interval" => {
            keys.get("no_rope_layers").is_some_and(|layers| AllOn.holds(layers, config))
        }
        _ => false,
    }
}

impl Neutral {
    fn holds(self, value: &Value, config: &ModelConfig) -> bool {
        let number = |expected: f64| {
            value.as_f64().is_some_and(|found| (found - expected).abs() <= 1e-6 * expected.abs())
        };
        match (self, value) {
            (_, Value::Null) => true,
            (Off, Value::Bool(is_on)) => !is_on,
            (Off, Value::String(word)) => word.is_empty() || word.eq_ignore_ascii_case("none"),
            (Off, Value::Number(_)) => number(0.0),
            (Off | One, Value::Array(items)) => items.iter().all(|item| self.holds(item, config)),
            (Off, Value::Object(map)) => map.is_empty(),
            (On, value) => *value == Value::Bool(true),
            (One, _) => number(1.0),
            (Number(expected), _) => number(expected(config)),
            (Words(words), value) => value.as_str().is_some_and(|word| words.contains(&word)),
            (AllOn, Value::Array(items)) => {
                items.iter().all(|item| item.as_f64() != Some(0.0) && *item != Value::Bool(false))
            }
            (AllOn, _) => false,
        }
    }

    /// The neutral values, for messages.
    fn shown(self, config: &ModelConfig) -> String {
        match self {
            Off => "off".to_owned(),
            On => "true".to_owned(),
            One => "1".to_owned(),
            Number(expected) => expected(config).to_string(),
            Words(words) => format!("\"{}\"", words[0]),
            AllOn => "1 for each layer".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_listed_once() {
        for (at, (key, _)) in FOREIGN.iter().enumerate() {
            assert!(FOREIGN[..at].iter().all(|(other, _)| other != key), "{key}");
        }
    }
}

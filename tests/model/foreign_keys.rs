//! Configurations that are not of the architecture whose name they bear.

use std::path::{Path, PathBuf};

use assay::model::{ConfigError, ModelConfig};
use serde_json::{Value, json};

use super::fixtures::shared;
use super::small_files::config;

fn parse(config: &Value) -> Result<ModelConfig, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    ModelConfig::from_hf_file(&path)
}

/// The small Llama with more keys.
fn with(keys: &Value) -> Value {
    let mut config = config();
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

#[test]
fn model_type_and_architectures_are_of_one_family() {
    for (class, own) in [("Llama", "llama"), ("Mistral", "mistral"), ("Qwen2", "qwen2")] {
        let class = format!("{class}ForCausalLM");
        for model_type in ["llama", "mistral", "qwen2", "granite", "phi3"] {
            let found = parse(&with(&json!({"architectures": [class], "model_type": model_type})));
            match found {
                Ok(_) => assert_eq!(model_type, own),
                Err(error) => {
                    assert_ne!(model_type, own, "{error}");
                    let text = error.to_string();
                    let expected =
                        format!("`model_type` is \"{model_type}\", but `architectures` is [\"{class}\"]");
                    assert!(text.contains(&expected) && text.contains("config.json"), "{text}");
                    assert!(miette::Diagnostic::help(&error).is_some());
                }
            }
        }
    }
    assert!(parse(&with(&json!({"model_type": 7}))).unwrap_err().to_string().contains("`model_type` is 7"));
    parse(&with(&json!({"model_type": null}))).unwrap();
}

#[test]
fn keys_that_change_what_is_computed_are_refused() {
    let foreign = json!({
        "embedding_multiplier": 12.0, "residual_multiplier": 0.22, "attention_multiplier": 0.015625, "logits_scaling": 8,
        "logit_scale": 0.0625, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "query_pre_attn_scalar": 256,
        "use_qk_norm": true, "qk_norm": true, "clip_qkv": 8.0, "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 256,
        "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4, "rotary_pct": 0.25, "rope_interleave": true,
        "alibi": true, "use_parallel_residual": true, "parallel_attn": true, "num_experts": 8, "num_local_experts": 8,
        "n_routed_experts": 64, "attention_chunk_size": 8192, "use_bidirectional_attention": true,
        "num_kv_shared_layers": 10, "mup_enabled": true, "hidden_activation": "gelu_pytorch_tanh", "is_causal": false,
        "mlp_multipliers": [1.0, 0.5], "position_embedding_type": "alibi", "rope_local_base_freq": 5e5,
        "use_qkv_bias": true, "scale_attn_weights": false, "pruned_heads": {"1": [0]}
    });
    for (key, value) in foreign.as_object().unwrap() {
        let mut keys = json!({});
        keys[key] = value.clone();
        let error = parse(&with(&keys)).err().unwrap_or_else(|| panic!("{key} is accepted"));
        let text = error.to_string();
        assert!(matches!(error, ConfigError::ForeignKey { .. }), "{text}");
        assert!(text.contains(&format!("config.json: `{key}` is {value}")), "{text}");
        assert!(text.contains("LlamaForCausalLM") && !text.contains('\n'), "{text}");
        assert!(miette::Diagnostic::help(&error).is_some());
    }
    let mistral =
        json!({"architectures": ["MistralForCausalLM"], "sliding_window": 16, "sliding_window_pattern": 6});
    assert!(parse(&with(&mistral)).unwrap_err().to_string().contains("`sliding_window_pattern` is 6"));
}

#[test]
fn keys_that_change_nothing_pass() {
    let expected = parse(&config()).unwrap();
    let harmless = json!({
        "_name_or_path": "x/y", "transformers_version": "4.1", "use_cache": false, "pretraining_tp": 1, "attention_dropout": 0.1,
        "initializer_range": 0.02, "bos_token_id": 1, "pad_token_id": null, "unsloth_version": "2024.9", "auto_map": {},
        "max_window_layers": 21, "use_mrope": false, "_attn_implementation_autoset": true, "note": "any text",
        "router_aux_loss_coef": 0.001, "output_router_logits": true, "classifier_dropout": 0.5, "num_experts_per_tok": 2,
        "quantization_config": null, "temperature": 0.6, "task_specific_params": null, "model_type": "llama"
    });
    assert_eq!(parse(&with(&harmless)).unwrap(), expected);
    let neutral = json!({
        "embedding_multiplier": 1.0, "residual_multiplier": 1, "attention_multiplier": 0.5, "logits_scaling": 1.0,
        "attn_logit_softcapping": null, "final_logit_softcapping": null, "query_pre_attn_scalar": 4, "clip_qkv": null,
        "use_qk_norm": false, "qk_layernorm": false, "scale_emb": 1, "dim_model_base": 8, "scale_depth": 1.0,
        "no_rope_layers": [1], "no_rope_layer_interval": 4, "rotary_pct": 1.0, "alibi": false, "num_experts": null,
        "num_local_experts": 0, "sliding_window_pattern": 6, "use_bidirectional_attention": null, "is_encoder_decoder": false,
        "pruned_heads": {}, "mlp_multipliers": [1.0, 1.0], "activation_sparsity_pattern": [0.0], "hidden_activation": "silu",
        "position_embedding_type": "rope", "rope_local_base_freq": 10000.0
    });
    assert_eq!(parse(&with(&neutral)).unwrap(), expected);
    for keys in [
        json!({"architectures": ["Qwen2ForCausalLM"], "qkv_bias": true, "use_qkv_bias": true}),
        json!({"architectures": ["MistralForCausalLM"], "sliding_window": null, "sliding_window_pattern": 6}),
    ] {
        parse(&with(&keys)).unwrap();
    }
}

fn configurations(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match (path.is_dir(), path.file_name().and_then(|name| name.to_str())) {
            (true, _) => configurations(&path, found),
            (_, Some("config.json" | "smollm2-config.json")) => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn real_configurations_pass_and_relabelled_ones_do_not() {
    let mut found = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/config.json")];
    for folder in ["golden", "models", "tokenizers", "field"] {
        let Some(folder) = shared(folder) else { return };
        configurations(&folder, &mut found);
    }
    let (mut known, mut relabelled) = (0, 0);
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let Ok(mut config) = serde_json::from_str::<Value>(&text) else { continue };
        let class = config["architectures"][0].as_str().unwrap_or_default().to_owned();
        if ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"].contains(&class.as_str()) {
            known += 1;
            // What is refused here is refused for other reasons, rotary scalings for instance.
            let foreign =
                matches!(parse(&config), Err(ConfigError::Family { .. } | ConfigError::ForeignKey { .. }));
            assert!(!foreign, "{}: {}", path.display(), parse(&config).unwrap_err());
            continue;
        }
        relabelled += 1;
        config["architectures"] = json!(["LlamaForCausalLM"]);
        let error = parse(&config).err().unwrap_or_else(|| panic!("{} is read as Llama", path.display()));
        assert!(matches!(error, ConfigError::Family { .. }), "{}: {error}", path.display());
        // Under both names: by its keys, or, where only tensors differ, not by the configuration.
        config["model_type"] = json!("llama");
        if class == "GraniteForCausalLM" {
            let error = parse(&config).err().unwrap_or_else(|| panic!("{} is read as Llama", path.display()));
            assert!(
                error.to_string().contains("multiplier") || error.to_string().contains("logits_scaling"),
                "{error}"
            );
        }
    }
    assert!(known >= 10 && relabelled >= 40, "{known} known, {relabelled} relabelled");
}

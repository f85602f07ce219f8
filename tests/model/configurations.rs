//! `config.json` in its variants, and what is refused in it.

use assay::model::{ConfigError, ModelConfig, RopeScaling};
use serde_json::{Value, json};

use super::fixtures::{alone, difference, load};
use super::small_files::{bytes_of, config, numbers, safetensors, safetensors_file, tensors, write_folder};

fn parse(config: &Value) -> Result<ModelConfig, ConfigError> {
    parse_text(&config.to_string())
}

fn parse_text(text: &str) -> Result<ModelConfig, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, text).unwrap();
    ModelConfig::from_hf_file(&path)
}

/// The small configuration with keys set, or removed where the value is the string "absent".
fn with(changes: Value) -> Value {
    let mut config = config();
    for (key, value) in changes.as_object().unwrap() {
        match value.as_str() {
            Some("absent") => config.as_object_mut().unwrap().shift_remove(key),
            _ => config.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    config
}

#[test]
fn both_spellings_say_the_same() {
    let old = parse(&with(json!({"rope_theta": 5e5}))).unwrap();
    let new = with(json!({
        "rope_theta": "absent", "torch_dtype": "absent", "dtype": "float32",
        "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}
    }));
    assert_eq!(parse(&new).unwrap(), old);

    let scaling = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192
    });
    let old = parse(&with(json!({"rope_theta": 5e5, "rope_scaling": scaling}))).unwrap();
    let mut parameters = scaling;
    parameters["rope_theta"] = json!(5e5);
    let new = with(json!({"rope_theta": "absent", "rope_parameters": parameters}));
    assert_eq!(parse(&new).unwrap(), old);
    // Exporters write both.
    let both = with(json!({"rope_theta": 5e5, "rope_parameters": parameters, "rope_scaling": parameters}));
    assert_eq!(parse(&both).unwrap(), old);
    let nothing = with(json!({"rope_parameters": {}, "rope_scaling": {}}));
    assert_eq!(parse(&nothing).unwrap(), parse(&config()).unwrap());
    // transformers 5 takes the base from beside `rope_parameters`.
    let outside = with(json!({"rope_parameters": {"rope_type": "default"}}));
    assert_eq!(parse(&outside).unwrap(), parse(&config()).unwrap());
    assert!(matches!(old.rope.scaling, RopeScaling::Llama3 { factor: 8.0, .. }));
    let base_alone = with(json!({"rope_theta": "absent", "rope_parameters": {"rope_theta": 10000.0}}));
    assert_eq!(parse(&base_alone).unwrap(), parse(&config()).unwrap());
}

/// The right values are those of `LlamaConfig` of transformers 5.24.
#[test]
fn the_original_length_is_the_one_that_transformers_takes() {
    let length = |beside: Value, inside: Value| {
        let mut scaling =
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
        if !inside.is_null() {
            scaling["original_max_position_embeddings"] = inside;
        }
        let changes = json!({
            "max_position_embeddings": 2048, "original_max_position_embeddings": beside, "rope_scaling": scaling
        });
        match parse(&with(changes)).unwrap().rope.scaling {
            RopeScaling::Llama3 { original_max_positions, .. } => original_max_positions,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(length(json!("absent"), json!(256)), 256.0);
    assert_eq!(length(json!(512), json!(256)), 512.0);
    assert_eq!(length(json!(512), Value::Null), 512.0);
    assert_eq!(length(json!("absent"), Value::Null), 2048.0);
}

#[test]
fn absent_keys_have_the_defaults_of_their_class() {
    let parsed = parse(&with(json!({
        "rope_theta": "absent", "num_key_value_heads": "absent", "tie_word_embeddings": "absent",
        "eos_token_id": "absent", "torch_dtype": "absent", "head_dim": null
    })))
    .unwrap();
    assert_eq!((parsed.rope.theta, parsed.kv_heads, parsed.head_dim), (10_000.0, 2, 4));
    assert_eq!((parsed.tied_embeddings, parsed.eos_token_ids.len(), parsed.dtype), (false, 0, None));
    assert_eq!(parse(&with(json!({"eos_token_id": [2, 7]}))).unwrap().eos_token_ids, [2, 7]);
    assert_eq!(parse(&with(json!({"head_dim": 6}))).unwrap().head_dim, 6);
}

#[test]
fn windows_are_those_of_the_architecture() {
    let windows = |changes: Value| {
        let mut config = with(changes);
        config["num_hidden_layers"] = json!(4);
        parse(&config).unwrap().windows
    };
    let mistral = json!(["MistralForCausalLM"]);
    let qwen2 = json!(["Qwen2ForCausalLM"]);
    assert_eq!(windows(json!({"architectures": mistral})), [Some(4096); 4]);
    assert_eq!(windows(json!({"architectures": mistral, "sliding_window": null})), [None; 4]);
    assert_eq!(windows(json!({"architectures": mistral, "sliding_window": 16})), [Some(16); 4]);
    assert_eq!(windows(json!({"architectures": qwen2, "sliding_window": 16})), [None; 4]);
    let used = json!({"architectures": qwen2, "sliding_window": 16, "use_sliding_window": true, "max_window_layers": 3});
    assert_eq!(windows(used), [None, None, None, Some(16)]);
    let types = json!({
        "architectures": qwen2, "sliding_window": 16, "use_sliding_window": true,
        "layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
    });
    assert_eq!(windows(types), [Some(16), None, None, Some(16)]);
}

#[test]
fn what_is_wrong_is_named() {
    let llama3 = |changes: Value| {
        let mut scaling = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192
        });
        for (key, value) in changes.as_object().unwrap() {
            scaling[key] = value.clone();
        }
        json!({"rope_scaling": scaling})
    };
    let cases = [
        (json!({"architectures": "absent"}), "`architectures` is missing"),
        (json!({"architectures": ["GemmaForCausalLM"]}), "`architectures` is [\"GemmaForCausalLM\"]"),
        (json!({"architectures": []}), "`architectures` is []"),
        (json!({"hidden_act": "gelu"}), "`hidden_act` is \"gelu\""),
        (json!({"hidden_act": "absent"}), "`hidden_act` is missing"),
        (json!({"hidden_size": "absent"}), "`hidden_size` is missing"),
        (json!({"hidden_size": 0}), "`hidden_size` is 0, expected 1 to"),
        (json!({"hidden_size": -8}), "`hidden_size` is -8"),
        (json!({"hidden_size": 8.5}), "`hidden_size` is 8.5"),
        (json!({"hidden_size": u64::MAX, "head_dim": 4}), "`hidden_size` is 18446744073709551615"),
        (json!({"hidden_size": 9}), "`num_attention_heads` is 2, expected a divisor of hidden_size 9"),
        (json!({"num_attention_heads": 0}), "`num_attention_heads` is 0"),
        (json!({"num_key_value_heads": 0}), "`num_key_value_heads` is 0"),
        (json!({"num_key_value_heads": 3}), "`num_key_value_heads` is 3, expected a divisor of the 2"),
        (json!({"num_hidden_layers": 1u64 << 40}), "`num_hidden_layers` is 1099511627776"),
        (json!({"head_dim": 3}), "`head_dim` is 3, expected an even number"),
        (json!({"vocab_size": 1u64 << 40}), "`vocab_size` is 1099511627776"),
        (json!({"rms_norm_eps": "absent"}), "`rms_norm_eps` is missing"),
        (json!({"rms_norm_eps": 0}), "`rms_norm_eps` is 0"),
        (json!({"rope_theta": -1.0}), "`rope_theta` is -1"),
        (json!({"rope_theta": "many"}), "`rope_theta` is \"many\""),
        (
            json!({"rope_theta": "absent", "rope_parameters": {"rope_type": "default"}}),
            "`rope_parameters.rope_theta` is missing",
        ),
        (
            json!({"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
                "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}),
            "expected nothing beside rope_parameters, or the same value",
        ),
        (json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}), "`rope_theta` is 10000.0"),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
            "`rope_scaling.rope_type` is \"linear\"",
        ),
        (
            json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}),
            "`rope_scaling.rope_type` is \"yarn\"",
        ),
        (json!({"rope_scaling": {"factor": 2.0}}), "`rope_scaling.rope_type` is missing"),
        (json!({"rope_scaling": {"type": "default", "attention_factor": 2.0}}), "attention_factor"),
        (llama3(json!({"factor": null})), "`rope_scaling.factor` is missing"),
        (llama3(json!({"factor": 0})), "`rope_scaling.factor` is 0"),
        (llama3(json!({"high_freq_factor": 1.0})), "`rope_scaling.high_freq_factor` is 1.0"),
        (json!({"partial_rotary_factor": 0.5}), "`partial_rotary_factor` is 0.5"),
        (json!({"quantization_config": {"bits": 4}}), "`quantization_config` is {\"bits\":4}"),
        (json!({"sliding_window": 16}), "`sliding_window` is 16"),
        (json!({"layer_types": ["chunked_attention"]}), "`layer_types` is"),
        (json!({"tie_word_embeddings": 1}), "`tie_word_embeddings` is 1, expected true or false"),
        (json!({"eos_token_id": "</s>"}), "`eos_token_id` is \"</s>\""),
        (json!({"eos_token_id": [-1]}), "`eos_token_id` is -1"),
        (json!({"torch_dtype": "int8"}), "`torch_dtype` is \"int8\""),
        (json!({"dtype": "bfloat16"}), "`torch_dtype` is \"float32\", expected the same as dtype"),
        (
            json!({"architectures": ["MistralForCausalLM"], "num_key_value_heads": "absent"}),
            "`num_key_value_heads` is missing",
        ),
        (
            json!({"architectures": ["MistralForCausalLM"], "attention_bias": true}),
            "`attention_bias` is true",
        ),
        (json!({"architectures": ["MistralForCausalLM"], "sliding_window": 0}), "`sliding_window` is 0"),
    ];
    for (changes, expected) in cases {
        // Cases with `rope_parameters` keep the base configuration's `rope_theta`.
        let error = parse(&with(changes)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(expected) && message.contains("config.json"),
            "{message}\nexpected: {expected}"
        );
        assert!(!message.contains('\n') && miette::Diagnostic::help(&error).is_some(), "{message}");
    }
    let error = parse_text("{\n  \"hidden_size\": 8,,\n}").unwrap_err().to_string();
    assert!(error.contains("config.json:2:") && !error.contains('\n'), "{error}");
    assert!(parse_text("[1]").unwrap_err().to_string().contains("expected a JSON object"));
}

#[test]
fn llama_biases_are_honoured() {
    let biased = with(json!({"attention_bias": true, "mlp_bias": true}));
    let plain = tempfile::tempdir().unwrap();
    write_folder(plain.path(), &config(), &safetensors(&tensors()));
    let ids = [1, 2, 3];
    let without = alone(&load(plain.path(), Default::default()).unwrap(), &ids);

    let biases: Vec<(String, Vec<usize>)> = tensors()
        .into_iter()
        .filter(|(name, _)| name.contains("_proj"))
        .map(|(name, shape)| (name.replace(".weight", ".bias"), vec![shape[0]]))
        .collect();
    // Biases of zero change nothing, others do; without biases the file is incomplete.
    for (scale, changes) in [(0.0, false), (1.0, true)] {
        let (mut header, mut data) = super::small_files::safetensors_parts(&tensors());
        for (name, shape) in &biases {
            let begin = data.len();
            let values: Vec<f32> = numbers(name, shape[0]).into_iter().map(|n| n * scale).collect();
            data.extend(bytes_of(&values));
            header[name] = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        }
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &biased, &safetensors_file(&header.to_string(), &data));
        let found = alone(&load(folder.path(), Default::default()).unwrap(), &ids);
        let changed = found.iter().zip(&without).any(|(a, b)| difference(a, b) > 1e-3);
        assert_eq!(changed, changes, "biases times {scale}");
    }
    write_folder(plain.path(), &biased, &safetensors(&tensors()));
    let error = load(plain.path(), Default::default()).err().unwrap().to_string();
    assert!(error.contains("q_proj.bias` is missing"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_found_in_the_logits() {
    use assay::model::{ForwardError, Row};

    let (header, mut data) = super::small_files::safetensors_parts(&tensors());
    let at = header["model.norm.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
    data[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &config(), &safetensors_file(&header.to_string(), &data));
    let model = load(folder.path(), Default::default()).unwrap();
    let mut kv = model.kv_cache();
    let segment = super::fixtures::segment(5, &[], &[1; 30]);
    // Of many rows, read by all threads, the first wanted one is named.
    for count in [1, 29] {
        let wanted: Vec<Row> = (1..=count).rev().map(|token| Row { segment: 0, token }).collect();
        let error = model.forward(std::slice::from_ref(&segment), &wanted, &mut kv, &|_, _| ()).unwrap_err();
        assert!(matches!(error, ForwardError::NotFinite { token, .. } if token == count), "{error}");
        assert_eq!(kv.tokens(), 0);
    }
}

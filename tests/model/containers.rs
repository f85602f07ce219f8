//! A model is the same whatever file format holds it.

use assay::model::DtypeChoice;
use serde_json::json;

use super::fixtures::{alone, assert_same, difference, load};
use super::small_files::{
    GgufTensor, Meta, config, gguf, gguf_metadata, gguf_name, gguf_tensors, numbers, safetensors, tensors,
    write_folder,
};

#[test]
fn folder_shards_and_gguf_hold_the_same_model() {
    let (folder, sharded, file) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_folder(folder.path(), &config(), &safetensors(&tensors()));
    let ids: Vec<u32> = (0..16).collect();
    let expected = alone(&load(folder.path(), DtypeChoice::Auto).unwrap(), &ids);

    let all = tensors();
    let (first, second) = all.split_at(5);
    std::fs::write(sharded.path().join("config.json"), config().to_string()).unwrap();
    let mut map = json!({});
    for (name, part) in [("a.safetensors", first), ("b.safetensors", second)] {
        std::fs::write(sharded.path().join(name), safetensors(part)).unwrap();
        part.iter().for_each(|(tensor, _)| map[tensor] = json!(name));
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    std::fs::write(sharded.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    let model = load(sharded.path(), DtypeChoice::Auto).unwrap();
    assert_eq!(model.facts().weight_files.len(), 2);
    assert_same("shards", &alone(&model, &ids), &expected, 0.0);

    let path = file.path().join("small.gguf");
    std::fs::write(&path, gguf(&gguf_metadata(), &gguf_tensors())).unwrap();
    let model = load(&path, DtypeChoice::Auto).unwrap();
    assert_eq!((model.facts().name.as_str(), model.facts().eos_token_ids.as_slice()), ("small", &[2][..]));
    assert_same("GGUF", &alone(&model, &ids), &expected, 0.0);
}

#[test]
fn gguf_frequency_divisors_are_the_scaling_of_llama_3() {
    let (folder, file) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut scaled = config();
    scaled["rope_scaling"] = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8
    });
    write_folder(folder.path(), &scaled, &safetensors(&tensors()));
    // Frequencies are 1 and 0.01: the first is between the bounds, which are wavelengths 2 and 8, the second
    // beyond.
    let smooth = (8.0 / std::f32::consts::TAU - 1.0) / 3.0;
    let divisors = [1.0 / ((1.0 - smooth) / 8.0 + smooth), 8.0];
    let mut with_divisors = gguf_tensors();
    with_divisors.push(GgufTensor::f32("rope_freqs.weight", &[2], &divisors));
    let path = file.path().join("small.gguf");
    std::fs::write(&path, gguf(&gguf_metadata(), &with_divisors)).unwrap();

    let ids: Vec<u32> = (0..30).map(|i| i % 16).collect();
    let expected = alone(&load(folder.path(), DtypeChoice::Auto).unwrap(), &ids);
    let found = alone(&load(&path, DtypeChoice::Auto).unwrap(), &ids);
    assert_same("divisors", &found, &expected, 1e-6);
    std::fs::write(&path, gguf(&gguf_metadata(), &gguf_tensors())).unwrap();
    let plain = alone(&load(&path, DtypeChoice::Auto).unwrap(), &ids);
    let change = plain.iter().zip(&expected).map(|(a, b)| difference(a, b)).fold(0.0, f32::max);
    assert!(change > 1e-4, "the scaling changes logits by {change} only");
}

#[test]
fn qwen2_in_gguf_has_biases_and_rows_in_their_order() {
    let (folder, file) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut all = tensors();
    for (part, rows) in [("q", 8), ("k", 4), ("v", 4)] {
        all.push((format!("model.layers.0.self_attn.{part}_proj.bias"), vec![rows]));
    }
    let mut qwen2 = config();
    qwen2["architectures"] = json!(["Qwen2ForCausalLM"]);
    write_folder(folder.path(), &qwen2, &safetensors(&all));
    let stored = |(name, shape): &(String, Vec<usize>)| {
        GgufTensor::f32(&gguf_name(name), shape, &numbers(name, shape.iter().product()))
    };
    let names: Vec<String> = gguf_metadata().iter().map(|(key, _)| key.replace("llama.", "qwen2.")).collect();
    let metadata: Vec<(&str, Meta)> = names
        .iter()
        .map(String::as_str)
        .zip(gguf_metadata().into_iter().map(|(_, value)| value))
        .map(|(key, value)| (key, if key == "general.architecture" { Meta::String("qwen2") } else { value }))
        .collect();
    let path = file.path().join("small.gguf");
    std::fs::write(&path, gguf(&metadata, &all.iter().map(stored).collect::<Vec<_>>())).unwrap();
    let ids: Vec<u32> = (0..16).collect();
    let expected = alone(&load(folder.path(), DtypeChoice::Auto).unwrap(), &ids);
    assert_same("Qwen2", &alone(&load(&path, DtypeChoice::Auto).unwrap(), &ids), &expected, 0.0);
}

#[test]
fn every_quantised_format_loads() {
    // Type number in `ggml.h`, elements per block, bytes per block.
    let formats = [
        (1, 1, 2),
        (2, 32, 18),
        (3, 32, 20),
        (6, 32, 22),
        (7, 32, 24),
        (8, 32, 34),
        (10, 256, 84),
        (11, 256, 110),
        (12, 256, 144),
        (13, 256, 176),
        (14, 256, 210),
        (30, 1, 2),
    ];
    let mut metadata = gguf_metadata();
    for (key, value) in &mut metadata {
        if key.ends_with("embedding_length") || key.ends_with("feed_forward_length") {
            *value = Meta::U32(256);
        }
    }
    for (kind, block, bytes) in formats {
        let wide = tensors().into_iter().map(|(name, shape)| {
            let shape: Vec<usize> = match shape.len() {
                1 => vec![256],
                _ if name.contains("k_proj") || name.contains("v_proj") => vec![128, 256],
                _ if name.contains("embed") || name.contains("head") => vec![16, 256],
                _ => vec![256, 256],
            };
            let count = shape.iter().product::<usize>();
            let (kind, bytes) = if shape.len() == 1 { (0, count * 4) } else { (kind, count / block * bytes) };
            GgufTensor { name: gguf_name(&name), shape, kind, bytes: vec![0; bytes] }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.gguf");
        std::fs::write(&path, gguf(&metadata, &wide.collect::<Vec<_>>())).unwrap();
        let model = load(&path, DtypeChoice::Bf16).unwrap();
        assert_eq!(alone(&model, &[1, 2]), [[0.0; 16]; 2], "type {kind}");
    }
}

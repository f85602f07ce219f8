//! Damaged and hostile files are errors that name the file: never a panic, never an allocation of an
//! unchecked size.

use std::path::Path;

use assay::model::{DeviceChoice, DtypeChoice, LoadError, LoadOptions, Model};
use serde_json::{Value, json};

use super::fixtures::load;
use super::small_files::{
    GgufTensor, Meta, config, gguf, gguf_metadata, gguf_string, gguf_tensors, safetensors, safetensors_file,
    safetensors_parts, tensors, write_folder,
};

/// Loads a model that must fail to load; the message must name `file` and contain `expected`.
fn assert_fails(path: &Path, file: &str, expected: &str) {
    let error = match load(path, DtypeChoice::Auto) {
        Ok(_) => panic!("loaded, expected: {expected}"),
        Err(error) => error,
    };
    let message = error.to_string();
    assert!(message.contains(file) && message.contains(expected), "{message}\nexpected: {file}: {expected}");
    assert!(!message.contains('\n'), "{message}");
    let code = miette::Diagnostic::code(&error).unwrap().to_string();
    assert!(["assay::input", "assay::engine"].contains(&code.as_str()), "{code}");
    assert!(miette::Diagnostic::help(&error).is_some(), "{message}");
}

fn folder_fails(config: &Value, weights: &[u8], file: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), config, weights);
    assert_fails(folder.path(), file, expected);
}

fn gguf_fails(bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    std::fs::write(&path, bytes).unwrap();
    assert_fails(&path, "small.gguf", expected);
}

#[test]
fn a_truncated_safetensors_file_is_an_error() {
    let whole = safetensors(&tensors());
    let lengths = [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 4, whole.len() - 1];
    for length in lengths {
        folder_fails(&config(), &whole[..length], "model.safetensors", "");
    }
    folder_fails(
        &config(),
        &[whole, vec![0; 4]].concat(),
        "model.safetensors",
        "4 bytes after the last tensor",
    );
}

#[test]
fn a_hostile_safetensors_header_is_an_error() {
    let (header, data) = safetensors_parts(&tensors());
    let norm = "model.norm.weight";
    let [begin, end] = [0, 1].map(|i| header[norm]["data_offsets"][i].as_u64().unwrap());
    let changes: [(Value, &str); 11] = [
        (json!({"dtype": "F32", "shape": [8], "data_offsets": [-32, 0]}), "header is not as the format says"),
        (json!({"dtype": "F32", "shape": [8], "data_offsets": [end, begin]}), "expected the size of"),
        (json!({"dtype": "F32", "shape": [8], "data_offsets": [begin, end + 4]}), "expected the size of"),
        (
            json!({"dtype": "F32", "shape": [8], "data_offsets": [u64::MAX - 31, u64::MAX]}),
            "expected the size of",
        ),
        (
            json!({"dtype": "F32", "shape": [8], "data_offsets": [1u64 << 40, (1u64 << 40) + 32]}),
            "ends at byte",
        ),
        (
            json!({"dtype": "F32", "shape": [1u64 << 62, 1u64 << 62], "data_offsets": [begin, end]}),
            "expected the size of",
        ),
        (json!({"dtype": "F32", "shape": [1u64 << 60], "data_offsets": [0, 1u64 << 62]}), "ends at byte"),
        (json!({"dtype": "I64", "shape": [4], "data_offsets": [begin, end]}), "has dtype I64"),
        (json!({"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}), "overlaps"),
        (
            json!({"dtype": "F32", "shape": [4, 2], "data_offsets": [begin, end]}),
            "shape [4, 2], expected [8]",
        ),
        (
            json!({"dtype": "BF16", "shape": [4, 4], "data_offsets": [begin, end]}),
            "shape [4, 4], expected [8]",
        ),
    ];
    for (entry, expected) in changes {
        let mut header = header.clone();
        header[norm] = entry;
        folder_fails(&config(), &safetensors_file(&header.to_string(), &data), "model.safetensors", expected);
    }
    for length in [u64::MAX, 1 << 60, 1 << 40, 100_000_001, 5000] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        folder_fails(&config(), &bytes, "model.safetensors", "header of");
    }
    for (text, expected) in [
        ("", "header is not as the format says"),
        ("[]", "header is not as the format says"),
        ("{\"a\": 1}", "header is not as the format says"),
        ("{}", "tensor `lm_head.weight` is missing"),
    ] {
        folder_fails(&config(), &safetensors_file(text, &[]), "model.safetensors", expected);
    }
    let entry = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let twice = format!(r#"{{"a":{entry},"a":{entry}}}"#);
    folder_fails(&config(), &safetensors_file(&twice, &[]), "model.safetensors", "`a` is declared twice");
}

#[test]
fn tensors_must_be_those_of_the_configuration() {
    for (index, (name, _)) in tensors().iter().enumerate() {
        let mut fewer = tensors();
        fewer.remove(index);
        let expected = format!("tensor `{name}` is missing");
        folder_fails(&config(), &safetensors(&fewer), "model.safetensors", &expected);

        let mut other = tensors();
        other[index].1[0] += 1;
        let expected = format!("tensor `{name}` has shape {:?}", other[index].1);
        folder_fails(&config(), &safetensors(&other), "model.safetensors", &expected);
    }
    let mut more = tensors();
    more.push(("model.layers.0.self_attn.q_proj.bias".to_owned(), vec![8]));
    folder_fails(
        &config(),
        &safetensors(&more),
        "model.safetensors",
        "q_proj.bias` (one of 1) is no part of",
    );

    let mut tied = config();
    tied["tie_word_embeddings"] = json!(true);
    folder_fails(&tied, &safetensors(&tensors()), "model.safetensors", "`lm_head.weight` differs");

    // A tensor that old versions saved, which is ignored.
    let folder = tempfile::tempdir().unwrap();
    let mut more = tensors();
    more.push(("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), vec![2]));
    write_folder(folder.path(), &config(), &safetensors(&more));
    load(folder.path(), DtypeChoice::Auto).unwrap();
}

#[test]
fn an_index_must_agree_with_its_shards() {
    let all: Vec<String> = tensors().into_iter().map(|(name, _)| name).collect();
    let map =
        |file: &str| all.iter().map(|name| (name.clone(), json!(file))).collect::<serde_json::Map<_, _>>();
    let mut extra = map("a.safetensors");
    extra.insert("model.extra".to_owned(), json!("a.safetensors"));
    let cases = [
        (json!({"weight_map": map("gone.safetensors")}), "gone.safetensors", "cannot read"),
        (json!({"weight_map": extra}), "a.safetensors", "`model.extra` is not there"),
        (json!({"weight_map": map("../a.safetensors")}), "index.json", "expected a file name"),
        (json!({"weight_map": map("/etc/passwd")}), "index.json", "expected a file name"),
        (json!({"weight_map": {"a": 3}}), "index.json", "expected a file name"),
        (json!({"weight_map": {}}), "index.json", "empty"),
        (json!([]), "index.json", "`weight_map` is missing"),
    ];
    for (index, file, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config().to_string()).unwrap();
        std::fs::write(folder.path().join("a.safetensors"), safetensors(&tensors())).unwrap();
        std::fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
        assert_fails(folder.path(), file, expected);
    }
}

#[test]
fn a_truncated_gguf_file_is_an_error() {
    let whole = gguf(&gguf_metadata(), &gguf_tensors());
    for length in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
        gguf_fails(&whole[..length], "");
    }
}

#[test]
fn a_hostile_gguf_header_is_an_error() {
    let header = |version: u32, tensors: u64, values: u64, rest: &[u8]| {
        [&b"GGUF"[..], &version.to_le_bytes(), &tensors.to_le_bytes(), &values.to_le_bytes(), rest].concat()
    };
    let huge = u64::MAX.to_le_bytes();
    let large = (1u64 << 40).to_le_bytes();
    let key = gguf_string("general.architecture");
    let kind = |kind: u32| kind.to_le_bytes().to_vec();
    let tensor = |dimensions: u32, shape: &[u64], dtype: u32, offset: u64| {
        let shape: Vec<u8> = shape.iter().flat_map(|n| n.to_le_bytes()).collect();
        [gguf_string("t"), kind(dimensions), shape, kind(dtype), offset.to_le_bytes().to_vec(), vec![0; 64]]
            .concat()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"GGML".repeat(8), "does not begin with `GGUF`"),
        (header(1, 0, 0, &[0; 64]), "version 1"),
        (header(3 << 24, 0, 0, &[0; 64]), "version 50331648"),
        (header(3, u64::MAX, 0, &[0; 64]), "declares 18446744073709551615 tensors"),
        (header(3, 1 << 60, 0, &[0; 64]), "tensors"),
        (header(3, 0, 1 << 60, &[0; 64]), "metadata values"),
        (header(3, 0, 1, &[&huge[..], &[0; 64]].concat()), "header needs"),
        (header(3, 0, 1, &[&key[..], &kind(8), &large, &[0; 64]].concat()), "header needs"),
        (header(3, 0, 1, &[&key[..], &kind(9), &kind(4), &huge, &[0; 64]].concat()), "array elements"),
        (header(3, 0, 1, &[&key[..], &kind(9), &kind(8), &large, &[0; 64]].concat()), "array elements"),
        (header(3, 0, 1, &[&key[..], &kind(9), &kind(9), &kind(1), &[0; 64]].concat()), "value type 9"),
        (header(3, 0, 1, &[&key[..], &kind(99), &[0; 64]].concat()), "value type 99"),
        (header(3, 0, 1, &[&key[..], &kind(7), &[2; 64]].concat()), "truth value 2"),
        (header(3, 1, 0, &tensor(u32::MAX, &[], 0, 0)), "4294967295 dimensions"),
        (header(3, 1, 0, &tensor(2, &[1 << 40, 1 << 40], 0, 0)), "does not fit"),
        (header(3, 1, 0, &tensor(2, &[0, 1 << 40], 0, 0)), "is empty"),
        (header(3, 1, 0, &tensor(1, &[33], 2, 0)), "does not fit"),
        (header(3, 1, 0, &tensor(1, &[4], 0, 1 << 40)), "is at offset"),
        (header(3, 1, 0, &tensor(1, &[4], 0, u64::MAX - 31)), "is at offset"),
        (header(3, 1, 0, &tensor(1, &[4], 0, 5)), "is at offset"),
        (header(3, 1, 0, &tensor(1, &[4], 16, 0)), "has type 16"),
        (header(3, 0, 0, &[0; 64]), "`general.architecture` is missing"),
    ];
    for (bytes, expected) in cases {
        gguf_fails(&bytes, expected);
    }
}

#[test]
fn gguf_metadata_and_tensors_must_describe_a_model() {
    let changed = |key: &'static str, value: Option<Meta>| {
        let mut metadata = gguf_metadata();
        metadata.retain(|(name, _)| *name != key);
        metadata.extend(value.map(|value| (key, value)));
        gguf(&metadata, &gguf_tensors())
    };
    gguf_fails(&changed("general.architecture", Some(Meta::String("gemma"))), "\"gemma\"");
    gguf_fails(&changed("llama.block_count", None), "`llama.block_count` is missing");
    gguf_fails(&changed("llama.block_count", Some(Meta::F32(1.0))), "expected a whole number");
    gguf_fails(&changed("llama.block_count", Some(Meta::U32(0))), "`llama.block_count` is 0");
    gguf_fails(&changed("llama.block_count", Some(Meta::U32(2))), "`blk.1.attn_norm.weight` is missing");
    gguf_fails(&changed("llama.attention.head_count", Some(Meta::U32(3))), "divisor of embedding_length");
    gguf_fails(&changed("llama.attention.key_length", Some(Meta::U32(6))), "`blk.0.attn_q.weight` has shape");
    gguf_fails(&changed("llama.rope.dimension_count", Some(Meta::U32(2))), "rope.dimension_count` is 2");
    gguf_fails(&changed("llama.rope.scaling.type", Some(Meta::String("yarn"))), "\"yarn\"");
    gguf_fails(&changed("llama.expert_count", Some(Meta::U32(8))), "dense models");
    gguf_fails(&changed("llama.logit_scale", Some(Meta::F32(2.0))), "`llama.logit_scale` is 2");
    gguf_fails(&changed("llama.vocab_size", Some(Meta::U32(17))), "rows of `token_embd.weight`");

    let mut extra = gguf_tensors();
    extra.push(GgufTensor::f32("blk.0.attn_q.bias", &[8], &[0.0; 8]));
    gguf_fails(&gguf(&gguf_metadata(), &extra), "`blk.0.attn_q.bias` (one of 1) is no part of");
}

#[test]
fn what_is_no_model_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_fails(&folder.path().join("nowhere"), "nowhere", "no such model");
    assert_fails(folder.path(), folder.path().to_str().unwrap(), "no config.json");
    std::fs::write(folder.path().join("config.json"), config().to_string()).unwrap();
    assert_fails(folder.path(), folder.path().to_str().unwrap(), "no model.safetensors");
}

#[test]
fn no_device_is_changed_silently() {
    if cfg!(feature = "cuda") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &config(), &safetensors(&tensors()));
    let options =
        LoadOptions { dtype: DtypeChoice::Auto, device: DeviceChoice::Cuda(1), ..LoadOptions::default() };
    let error = Model::load(folder.path(), options).err().unwrap();
    assert!(matches!(error, LoadError::Device(_)), "{error}");
    assert_eq!(error.to_string(), "device cuda:1 is asked for, but this build has no CUDA");
    let auto = LoadOptions::default();
    assert_eq!(Model::load(folder.path(), auto).unwrap().facts().device, "cpu");
}

#[test]
fn no_changed_byte_of_a_header_makes_loading_panic() {
    // Five flips: not a divisor of the lengths in the format, so that each byte position of a number is
    // changed in several ways.
    const FLIPS: [u8; 5] = [0x01, 0x10, 0x80, 0xff, 0x03];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    let whole = gguf(&gguf_metadata(), &gguf_tensors());
    let header =
        whole.len() - gguf_tensors().iter().map(|t| t.bytes.len().next_multiple_of(32)).sum::<usize>();
    for at in 0..header {
        let mut bytes = whole.clone();
        bytes[at] ^= FLIPS[at % FLIPS.len()];
        std::fs::write(&path, bytes).unwrap();
        let _ = load(&path, DtypeChoice::Auto);
    }
    write_folder(folder.path(), &config(), &[]);
    let (header, data) = safetensors_parts(&tensors());
    let whole = safetensors_file(&header.to_string(), &data);
    for at in 0..whole.len() - data.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= FLIPS[at % FLIPS.len()];
        std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        let _ = load(folder.path(), DtypeChoice::Auto);
    }
}

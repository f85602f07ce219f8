//! Tiny models written by the tests, valid or damaged on purpose.

use std::path::Path;

use serde_json::{Value, json};

/// A Llama with one layer: width 8, two query heads of 4, one key head, inner width 12, 16 tokens.
pub fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 16,
        "max_position_embeddings": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": false,
        "eos_token_id": 2,
        "torch_dtype": "float32"
    })
}

/// Names and shapes of its tensors.
pub fn tensors() -> Vec<(String, Vec<usize>)> {
    let layer = |part: &str| format!("model.layers.0.{part}.weight");
    vec![
        ("model.embed_tokens.weight".to_owned(), vec![16, 8]),
        (layer("input_layernorm"), vec![8]),
        (layer("self_attn.q_proj"), vec![8, 8]),
        (layer("self_attn.k_proj"), vec![4, 8]),
        (layer("self_attn.v_proj"), vec![4, 8]),
        (layer("self_attn.o_proj"), vec![8, 8]),
        (layer("post_attention_layernorm"), vec![8]),
        (layer("mlp.gate_proj"), vec![12, 8]),
        (layer("mlp.up_proj"), vec![12, 8]),
        (layer("mlp.down_proj"), vec![8, 12]),
        ("model.norm.weight".to_owned(), vec![8]),
        ("lm_head.weight".to_owned(), vec![16, 8]),
    ]
}

/// Pseudorandom numbers, the same on every call.
pub fn numbers(name: &str, count: usize) -> Vec<f32> {
    let mut state = name.bytes().fold(17u32, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

pub fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// Header and data of float32 tensors.
pub fn safetensors_parts(tensors: &[(String, Vec<usize>)]) -> (Value, Vec<u8>) {
    let (mut header, mut data) = (json!({"__metadata__": {"format": "pt"}}), Vec::new());
    for (name, shape) in tensors {
        let begin = data.len();
        data.extend(bytes_of(&numbers(name, shape.iter().product())));
        header[name] = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
    }
    (header, data)
}

/// A safetensors file with any header.
pub fn safetensors_file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

pub fn safetensors(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let (header, data) = safetensors_parts(tensors);
    safetensors_file(&header.to_string(), &data)
}

pub fn write_folder(folder: &Path, config: &Value, weights: &[u8]) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.join("model.safetensors"), weights).unwrap();
}

/// A metadata value as GGUF writes it.
pub enum Meta {
    U32(u32),
    F32(f32),
    String(&'static str),
}

/// The metadata of the same model.
pub fn gguf_metadata() -> Vec<(&'static str, Meta)> {
    vec![
        ("general.architecture", Meta::String("llama")),
        ("llama.embedding_length", Meta::U32(8)),
        ("llama.feed_forward_length", Meta::U32(12)),
        ("llama.block_count", Meta::U32(1)),
        ("llama.attention.head_count", Meta::U32(2)),
        ("llama.attention.head_count_kv", Meta::U32(1)),
        ("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5)),
        ("llama.rope.freq_base", Meta::F32(10000.0)),
        ("llama.context_length", Meta::U32(32)),
        ("tokenizer.ggml.eos_token_id", Meta::U32(2)),
    ]
}

/// A tensor as GGUF holds it.
pub struct GgufTensor {
    pub name: String,
    /// Rows first.
    pub shape: Vec<usize>,
    /// Its type's number in `ggml.h`.
    pub kind: u32,
    pub bytes: Vec<u8>,
}

impl GgufTensor {
    pub fn f32(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), kind: 0, bytes: bytes_of(values) }
    }
}

/// llama.cpp's name of a tensor.
pub fn gguf_name(name: &str) -> String {
    let names = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers.0.", "blk.0."),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    names.iter().fold(name.to_owned(), |name, (hf, gguf)| name.replace(hf, gguf))
}

/// The tensors of the same model, with the rows of q and k permuted as in llama.cpp.
pub fn gguf_tensors() -> Vec<GgufTensor> {
    let stored = |(name, shape): (String, Vec<usize>)| {
        let values = numbers(&name, shape.iter().product());
        let values: Vec<f32> = if name.contains("q_proj") || name.contains("k_proj") {
            // Heads of 4: rows 0, 1 | 2, 3 become 0, 2 | 1, 3.
            (0..shape[0])
                .map(|row| row / 4 * 4 + [0, 2, 1, 3][row % 4])
                .flat_map(|row| values[row * 8..row * 8 + 8].to_vec())
                .collect()
        } else {
            values
        };
        GgufTensor::f32(&gguf_name(&name), &shape, &values)
    };
    tensors().into_iter().map(stored).collect()
}

pub fn gguf_string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A GGUF file, version 3.
pub fn gguf(metadata: &[(&str, Meta)], tensors: &[GgufTensor]) -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        file.extend(gguf_string(key));
        match value {
            Meta::U32(n) => file.extend([4u32.to_le_bytes(), n.to_le_bytes()].concat()),
            Meta::F32(n) => file.extend([6u32.to_le_bytes(), n.to_le_bytes()].concat()),
            Meta::String(s) => file.extend([&8u32.to_le_bytes()[..], &gguf_string(s)].concat()),
        }
    }
    let mut data = Vec::new();
    for GgufTensor { name, shape, kind, bytes } in tensors {
        file.extend(gguf_string(name));
        file.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|&n| file.extend((n as u64).to_le_bytes()));
        file.extend(kind.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(32), 0);
    }
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    file
}

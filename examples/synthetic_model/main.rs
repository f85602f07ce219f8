//! Writes a model of any configured size with random bfloat16 weights, as sharded safetensors, to measure the
//! memory and time that a model of that shape takes without having one.
//!
//! ```text
//! cargo run --release --example synthetic_model -- FOLDER OUTPUT
//! ```
//!
//! FOLDER holds `config.json` and the tokenizer's files, which are copied. Shards are at most 5 GB, as on the
//! hub. The same configuration gives the same weights.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use assay::model::ModelConfig;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const SHARD: u64 = 5_000_000_000;

/// A tensor to write.
struct Tensor {
    name: String,
    shape: Vec<usize>,
}

impl Tensor {
    fn bytes(&self) -> u64 {
        2 * self.shape.iter().product::<usize>() as u64
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [folder, output] => write(Path::new(folder), Path::new(output)),
        _ => {
            Err("expected two arguments: a folder with config.json and tokenizer, and the output folder"
                .into())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path, output: &Path) -> Outcome<()> {
    let config = ModelConfig::from_hf_file(&folder.join("config.json"))?;
    fs::create_dir_all(output)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        // An index of other shards would contradict ours.
        if path.is_file() && name != "model.safetensors.index.json" {
            fs::copy(&path, output.join(name))?;
        }
    }
    let shards = shards(tensors(&config));
    let mut index = Map::new();
    let mut total = 0;
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        write_shard(&output.join(&name), shard)?;
        total += shard.iter().map(Tensor::bytes).sum::<u64>();
        index.extend(shard.iter().map(|tensor| (tensor.name.clone(), Value::from(name.as_str()))));
        eprintln!("{name}: {} tensors", shard.len());
    }
    let index = json!({"metadata": {"total_size": total}, "weight_map": index});
    fs::write(output.join("model.safetensors.index.json"), serde_json::to_vec_pretty(&index)?)?;
    eprintln!("{:.2} GB in {}", total as f64 / 1e9, output.display());
    Ok(())
}

/// All tensors of the network, in the order of the hub's files.
fn tensors(config: &ModelConfig) -> Vec<Tensor> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let (query, kv) = (config.query_width(), config.kv_width());
    let tensor = |name: String, shape: &[usize]| Tensor { name, shape: shape.to_vec() };
    let table = [config.vocab_size, hidden];
    let mut all = vec![tensor("model.embed_tokens.weight".into(), &table)];
    for layer in 0..config.layers {
        let at = |part: &str| format!("model.layers.{layer}.{part}");
        let mut linear = |part: &str, out: usize, input: usize, bias: bool| {
            all.push(tensor(at(&format!("{part}.weight")), &[out, input]));
            if bias {
                all.push(tensor(at(&format!("{part}.bias")), &[out]));
            }
        };
        linear("self_attn.q_proj", query, hidden, config.qkv_bias);
        linear("self_attn.k_proj", kv, hidden, config.qkv_bias);
        linear("self_attn.v_proj", kv, hidden, config.qkv_bias);
        linear("self_attn.o_proj", hidden, query, config.output_bias);
        linear("mlp.gate_proj", inner, hidden, config.mlp_bias);
        linear("mlp.up_proj", inner, hidden, config.mlp_bias);
        linear("mlp.down_proj", hidden, inner, config.mlp_bias);
        all.push(tensor(at("input_layernorm.weight"), &[hidden]));
        all.push(tensor(at("post_attention_layernorm.weight"), &[hidden]));
    }
    all.push(tensor("model.norm.weight".into(), &[hidden]));
    if !config.tied_embeddings {
        all.push(tensor("lm_head.weight".into(), &table));
    }
    all
}

fn shards(tensors: Vec<Tensor>) -> Vec<Vec<Tensor>> {
    let mut shards: Vec<Vec<Tensor>> = vec![Vec::new()];
    let mut room = SHARD;
    for tensor in tensors {
        if tensor.bytes() > room {
            shards.push(Vec::new());
            room = SHARD;
        }
        room = room.saturating_sub(tensor.bytes());
        if let Some(shard) = shards.last_mut() {
            shard.push(tensor);
        }
    }
    shards.retain(|shard| !shard.is_empty());
    shards
}

fn write_shard(path: &Path, tensors: &[Tensor]) -> Outcome<()> {
    let mut header = Map::new();
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes();
        let entry = json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": [at, end]});
        header.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    // The data begin at a multiple of 8 bytes, as with safetensors' own writer.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for tensor in tensors {
        write_numbers(&mut file, tensor)?;
    }
    file.into_inner()?.sync_all()?;
    Ok(())
}

/// Norms are ones; other weights are uniform, with the variance that preserves the scale of activations.
fn write_numbers(file: &mut impl Write, tensor: &Tensor) -> std::io::Result<()> {
    const PIECE: usize = 1 << 22;
    let count: usize = tensor.shape.iter().product();
    let is_norm = tensor.name.ends_with("norm.weight");
    let range = (3.0 / *tensor.shape.last().unwrap_or(&1) as f64).sqrt() as f32;
    let seed = tensor.name.bytes().fold(0u64, |seed, byte| mixed(seed ^ u64::from(byte)));
    let mut bytes = vec![0u8; 2 * PIECE.min(count)];
    for start in (0..count).step_by(PIECE) {
        let bytes = &mut bytes[..2 * PIECE.min(count - start)];
        bytes.par_chunks_mut(1 << 16).enumerate().for_each(|(chunk, bytes)| {
            for (i, number) in bytes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let random = mixed(seed.wrapping_add((start + (chunk << 15) + i) as u64));
                let uniform = (random >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
                let weight = if is_norm { 1.0 } else { uniform * range };
                *number = half::bf16::from_f32(weight).to_le_bytes();
            }
        });
        file.write_all(bytes)?;
    }
    Ok(())
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

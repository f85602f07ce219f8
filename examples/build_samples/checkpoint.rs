//! Writes and reads the model folder.

use std::fs;
use std::path::Path;

use candle_core::{Device, safetensors};
use serde_json::{Map, Value, json};
use tokenizers::{Result, Tokenizer};

use crate::network::{self, Network};
use crate::tokenizer;

/// Name of the held-out text within the model folder.
pub const HELD_OUT: &str = "held_out.txt";

/// Writes the entire model folder, except its README.
pub fn save(folder: &Path, network: &Network, tokenizer: &Tokenizer, held_out: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("config.json"), serde_json::to_string_pretty(&network::config())? + "\n")?;
    fs::write(folder.join("model.safetensors"), safetensors_bytes(network)?)?;
    fs::write(folder.join(HELD_OUT), held_out)?;
    tokenizer::save(tokenizer, folder)
}

/// Reads the network and the tokenizer of a model folder.
pub fn load(folder: &Path) -> Result<(Network, Tokenizer)> {
    let tensors = safetensors::load(folder.join("model.safetensors"), &Device::Cpu)?;
    let tokenizer = Tokenizer::from_file(folder.join("tokenizer.json"))?;
    Ok((Network::from_tensors(tensors)?, tokenizer))
}

/// The weights as a safetensors file. Written here because candle's own writer leaves out the metadata, and
/// transformers refuses a file whose metadata lacks the format "pt".
fn safetensors_bytes(network: &Network) -> Result<Vec<u8>> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut data: Vec<u8> = Vec::new();
    for (name, weight) in network.weights() {
        let start = data.len();
        for value in weight.flatten_all()?.to_vec1::<f32>()? {
            data.extend_from_slice(&value.to_le_bytes());
        }
        let entry = json!({"dtype": "F32", "shape": weight.dims(), "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::to_string(&Value::Object(header))?;
    // The tensors start at a multiple of eight bytes.
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&data);
    Ok(bytes)
}

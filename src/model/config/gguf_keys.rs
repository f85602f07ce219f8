//! Reads a configuration from GGUF metadata.
//!
//! Keys are those llama.cpp writes (`gguf-py/gguf/constants.py`). A key of the architecture that isn't known here is an
//! error: it may require arithmetic that would be left out.

use super::architecture::Architecture;
use super::error::{ConfigError, GgufConfigError};
use super::model_config::{ModelConfig, Rope, RopeScaling, SizeNames};
use super::tensor_role::TensorRole;
use crate::model::files::gguf::GgufFile;
use crate::model::files::gguf_value::{GgufError, GgufMetadata};

/// Supported keys, without the prefix of the architecture's name.
const KNOWN: [&str; 17] = [
    "embedding_length",
    "feed_forward_length",
    "block_count",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "vocab_size",
    "context_length",
    "expert_count",
    "expert_used_count",
];

/// Names of the sizes, with the prefix of the architecture's name.
fn size_names(architecture: &str) -> SizeNames {
    let name = |key: &str| format!("{architecture}.{key}");
    SizeNames {
        hidden_size: name("embedding_length"),
        intermediate_size: name("feed_forward_length"),
        layers: name("block_count"),
        heads: name("attention.head_count"),
        kv_heads: name("attention.head_count_kv"),
        head_dim: name("rope.dimension_count"),
        vocab_size: name("vocab_size"),
        max_positions: name("context_length"),
        rms_norm_eps: name("attention.layer_norm_rms_epsilon"),
        rope_theta: name("rope.freq_base"),
    }
}

/// The configuration in the metadata of an opened file, without biases and attention windows; the vocabulary
/// size is the number of rows of the embedding.
///
/// # Errors
/// [`GgufConfigError`] if a key is missing, has an invalid value, or requires something unsupported.
pub fn read(
    file: &GgufFile,
    architecture: &'static Architecture,
    name: &str,
) -> Result<ModelConfig, GgufConfigError> {
    let metadata = &file.metadata;
    let names = size_names(name);
    let prefix = format!("{name}.");
    refuse_unsupported(metadata, &prefix)?;

    let hidden_size = size(metadata, &names.hidden_size)?;
    let heads = size(metadata, &names.heads)?;
    let head_dim = match metadata.whole(&format!("{prefix}attention.key_length"))? {
        Some(width) => width as usize,
        None if heads > 0 && hidden_size.is_multiple_of(heads) => hidden_size / heads,
        None => return Err(metadata.wrong(&names.heads, "a divisor of embedding_length").into()),
    };
    for key in ["attention.value_length", "rope.dimension_count"] {
        let key = format!("{prefix}{key}");
        if metadata.whole(&key)?.is_some_and(|width| width != head_dim as u64) {
            return Err(unsupported(metadata, &key, &format!("the head width, {head_dim}")).into());
        }
    }
    let layers = size(metadata, &names.layers)?;
    let tensor = |role: TensorRole| architecture.gguf_tensor(role.into()).unwrap_or_default();
    let embedding = tensor(TensorRole::Embedding);
    let vocab_size = match file.tensors.get(&embedding).map(|tensor| tensor.shape.as_slice()) {
        Some(&[rows, _]) => rows,
        _ => {
            let what = format!("tensor `{embedding}` is missing or has not two dimensions");
            return Err(GgufError::Damaged { path: metadata.path().to_owned(), what }.into());
        }
    };
    if metadata.whole(&names.vocab_size)?.is_some_and(|declared| declared != vocab_size as u64) {
        return Err(metadata.wrong(&names.vocab_size, "the rows of `token_embd.weight`").into());
    }
    let eos = "tokenizer.ggml.eos_token_id";
    let eos_token_ids = match metadata.whole(eos)? {
        None => Vec::new(),
        Some(id) => vec![u32::try_from(id).map_err(|_| metadata.wrong(eos, "a token id"))?],
    };
    let config = ModelConfig {
        architecture,
        hidden_size,
        intermediate_size: size(metadata, &names.intermediate_size)?,
        layers,
        heads,
        // Writers leave it out if every query head has its own key head.
        kv_heads: metadata.whole(&names.kv_heads)?.map_or(heads, |n| n as usize),
        head_dim,
        vocab_size,
        max_positions: size(metadata, &names.max_positions)?,
        rms_norm_eps: metadata
            .number(&names.rms_norm_eps)?
            .ok_or_else(|| metadata.wrong(&names.rms_norm_eps, "a number"))?,
        rope: Rope {
            // llama.cpp's default, which files of models with that base rely on.
            theta: metadata.number(&names.rope_theta)?.unwrap_or(10_000.0),
            scaling: RopeScaling::None,
        },
        windows: Vec::new(),
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        tied_embeddings: !file.tensors.contains_key(&tensor(TensorRole::Head)),
        eos_token_ids,
        dtype: None,
    };
    config.check_sizes(metadata.path(), &names)?;
    Ok(ModelConfig { windows: vec![None; layers], ..config })
}

fn size(metadata: &GgufMetadata, key: &str) -> Result<usize, GgufError> {
    let size = metadata.whole(key)?.and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| metadata.wrong(key, "a whole number"))
}

/// The error for a key that requires something unsupported.
pub fn unsupported(metadata: &GgufMetadata, key: &str, computes: &str) -> ConfigError {
    ConfigError::Unsupported {
        path: metadata.path().to_owned(),
        key: key.to_owned(),
        found: metadata.shown(key),
        computes: computes.to_owned(),
    }
}

fn refuse_unsupported(metadata: &GgufMetadata, prefix: &str) -> Result<(), GgufConfigError> {
    for key in metadata.keys() {
        if let Some(name) = key.strip_prefix(prefix)
            && !KNOWN.contains(&name)
        {
            return Err(unsupported(metadata, key, &KNOWN.join(", ")).into());
        }
    }
    for name in ["expert_count", "expert_used_count"] {
        let key = format!("{prefix}{name}");
        if metadata.whole(&key)?.is_some_and(|experts| experts != 0) {
            return Err(unsupported(metadata, &key, "dense models").into());
        }
    }
    let key = format!("{prefix}rope.scaling.type");
    if metadata.string(&key)?.is_some_and(|kind| kind != "none") {
        return Err(unsupported(metadata, &key, "\"none\", and Llama 3's `rope_freqs.weight`").into());
    }
    for name in ["rope.scaling.factor", "rope.scale_linear"] {
        let key = format!("{prefix}{name}");
        if metadata.number(&key)?.is_some_and(|factor| factor != 1.0) {
            return Err(unsupported(metadata, &key, "1").into());
        }
    }
    Ok(())
}

//! Facts about a loaded model.

use std::path::PathBuf;

use crate::kernels::dtype::Dtype;

/// Facts about a loaded model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// The last part of the path: folder name, or file name without `.gguf`.
    pub name: String,
    /// As given.
    pub path: PathBuf,
    /// The class in transformers, such as `LlamaForCausalLM`.
    pub architecture: &'static str,
    /// Rows of the embedding; token ids are less than this.
    pub vocab_size: usize,
    /// Maximum number of positions (`max_position_embeddings`).
    pub max_length: usize,
    /// End-of-sequence tokens: each of them ends a generation.
    pub eos_token_ids: Vec<u32>,
    /// Number of weights; a tied output matrix counts once.
    pub parameters: u64,
    /// Dtype of weights and activations.
    pub dtype: Dtype,
    /// `cpu`, or `cuda:` and the index.
    pub device: String,
    /// Bytes of the loaded weights.
    pub weight_bytes: u64,
    /// Bytes of keys and values per token, in all layers.
    pub kv_bytes_per_token: u64,
    /// Name of the kernels: `plain` for candle's operations, `flash-attn` for these with FlashAttention, or
    /// the instruction set of our own kernels, such as `avx512`.
    pub kernels: &'static str,
    /// Files that hold weights, in the order in which they were read.
    pub weight_files: Vec<PathBuf>,
}

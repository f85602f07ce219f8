//! What a loaded model is.

use std::path::PathBuf;

use crate::kernels::dtype::Dtype;

/// What a loaded model is.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// The last part of the path: folder name, or file name without `.gguf`.
    pub name: String,
    /// As given.
    pub path: PathBuf,
    /// The class in transformers, such as `LlamaForCausalLM`.
    pub architecture: &'static str,
    /// Rows of the embedding; token ids are below it.
    pub vocab_size: usize,
    /// Positions the model was made for (`max_position_embeddings`).
    pub max_length: usize,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Numbers in the weights; a tied output matrix counts once.
    pub parameters: u64,
    /// Number format in which it computes.
    pub dtype: Dtype,
    /// `cpu`, or `cuda:` and a number.
    pub device: String,
    /// Bytes of the loaded weights.
    pub weight_bytes: u64,
    /// Bytes of keys and values that a token takes.
    pub kv_bytes_per_token: u64,
    /// What computes: `plain` for candle's operations, `flash-attn` for these with FlashAttention, or the instructions of our own kernels, such as `avx512`.
    pub kernels: &'static str,
    /// Files with weights, in the order in which they were read.
    pub weight_files: Vec<PathBuf>,
}

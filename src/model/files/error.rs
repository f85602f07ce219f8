//! Why weights can't be loaded.

use std::path::PathBuf;

use super::gguf_value::GgufError;
use super::safetensors::SafetensorsError;
use super::weight_file::WeightFileError;
use crate::vocabulary::FETCH_LFS;

/// Why weights can't be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum WeightsError {
    /// A safetensors file is invalid.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// A GGUF file is invalid.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Gguf(#[from] GgufError),
    /// Reading a file fails, or it changes while it is read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] WeightFileError),
    /// A folder without supported weight files.
    #[error("{}: no model.safetensors and no model.safetensors.index.json", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "assay reads safetensors and GGUF; convert pytorch_model.bin with transformers' save_pretrained, or fetch the missing files"
        )
    )]
    NoWeights { path: PathBuf },
    /// A single file, and an index of shards that are there too.
    #[error("{}: two models: model.safetensors, and an index with {shard}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("move away the one that is not meant: model.safetensors, or the index and its shards")
    )]
    TwoModels { path: PathBuf, shard: String },
    /// A pointer to the index that git-lfs left in its place.
    #[error("{}: a pointer of git-lfs, not the file itself", path.display())]
    #[diagnostic(code(assay::input), help("{FETCH_LFS}"))]
    Pointer { path: PathBuf },
    /// The index of shards is invalid.
    #[error("{}: not an index of shards: {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("fetch model.safetensors.index.json again, together with the shards it names")
    )]
    Index {
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// The index names a shard that doesn't have the tensor, or two shards have it.
    #[error("{}: tensor `{tensor}` {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("index and shards are not of one export; fetch the whole folder again")
    )]
    Shard { path: PathBuf, tensor: String, what: &'static str },
    /// A tensor that the configuration requires is missing.
    #[error("{}: tensor `{tensor}` is missing", path.display())]
    #[diagnostic(
        code(assay::engine),
        help(
            "configuration and weights do not belong together, or a file is incomplete; fetch the model again"
        )
    )]
    Missing {
        /// The file or index.
        path: PathBuf,
        /// Its name in the file.
        tensor: String,
    },
    /// A tensor's shape differs from the configuration.
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("configuration and weights do not belong together; fetch both again from one place")
    )]
    Shape {
        path: PathBuf,
        /// Its name in the file.
        tensor: String,
        found: Vec<usize>,
        /// From the configuration.
        expected: Vec<usize>,
    },
    /// Tensors that this architecture doesn't use.
    #[error("{}: tensor `{tensor}` (one of {count}) is no part of {architecture} as configured", path.display())]
    #[diagnostic(
        code(assay::engine),
        help(
            "assay leaves out no weights: the model is of another architecture than its configuration says, or carries adapters that must be merged first"
        )
    )]
    Unused {
        /// The file or index.
        path: PathBuf,
        /// The first of them.
        tensor: String,
        /// How many there are.
        count: usize,
        /// The configured class.
        architecture: &'static str,
    },
    /// Embedding and output matrix are tied by the configuration, but differ in the file.
    #[error("{}: `{head}` differs from `{embedding}`, but tie_word_embeddings is true", path.display())]
    #[diagnostic(
        code(assay::input),
        help("set tie_word_embeddings to false in config.json if the model was trained with two matrices")
    )]
    Untied { path: PathBuf, head: String, embedding: String },
    /// No memory for a tensor, on the host or on the device.
    #[error("{}: cannot hold tensor `{tensor}` in memory: {reason}", path.display())]
    #[diagnostic(code(assay::engine), help("use a smaller model or --dtype bfloat16, or free memory"))]
    Memory {
        path: PathBuf,
        /// Its name in the file.
        tensor: String,
        /// From the allocator or device.
        reason: String,
    },
}

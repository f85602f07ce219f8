//! Why weights can't be loaded.

use std::path::PathBuf;

use super::gguf_value::GgufError;
use super::safetensors::SafetensorsError;
use super::weight_file::WeightFileError;

/// Why weights can't be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum WeightsError {
    /// A safetensors file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// A GGUF file is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Gguf(#[from] GgufError),
    /// A file fails or changes under the reader.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] WeightFileError),
    /// A folder without weights that are read.
    #[error("{}: no model.safetensors and no model.safetensors.index.json", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "assay reads safetensors and GGUF; convert pytorch_model.bin with transformers' save_pretrained, or fetch the missing files"
        )
    )]
    NoWeights {
        /// The folder.
        path: PathBuf,
    },
    /// The index of shards is wrong.
    #[error("{}: not an index of shards: {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("fetch model.safetensors.index.json again, together with the shards it names")
    )]
    Index {
        /// The index.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// The index says that a tensor is in a file where it isn't, or files repeat it.
    #[error("{}: tensor `{tensor}` {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("index and shards are not of one export; fetch the whole folder again")
    )]
    Shard {
        /// The shard.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A tensor that the configuration calls for.
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
        /// Its name there.
        tensor: String,
    },
    /// A tensor of another shape.
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("configuration and weights do not belong together; fetch both again from one place")
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Its name there.
        tensor: String,
        /// In the file.
        found: Vec<usize>,
        /// By the configuration.
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
    /// Embedding and output are one matrix by the configuration, but two in the file.
    #[error("{}: `lm_head.weight` differs from `model.embed_tokens.weight`, but tie_word_embeddings is true", path.display())]
    #[diagnostic(
        code(assay::input),
        help("set tie_word_embeddings to false in config.json if the model was trained with two matrices")
    )]
    Untied {
        /// The file.
        path: PathBuf,
    },
    /// No memory, on the host or on the device.
    #[error("{}: cannot hold tensor `{tensor}` in memory: {reason}", path.display())]
    #[diagnostic(code(assay::engine), help("use a smaller model or --dtype bfloat16, or free memory"))]
    Memory {
        /// The file.
        path: PathBuf,
        /// Its name there.
        tensor: String,
        /// From the allocator or device.
        reason: String,
    },
}

//! Weights by their Hugging Face names, whichever format holds them.
//!
//! A tensor that nobody asks for is an error: it would stand for a part of the model that is left out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::{Device, Tensor};

use super::checkpoint::Checkpoint;
use super::config::{Architecture, Dtype, ModelConfig};
use super::gguf::GgufError;
use super::numbers::Numbers;
use super::safetensors::{SafetensorsError, StoredTensor};
use super::stored::{Encoding, Stored};
use super::weight_file::{WeightFile, WeightFileError};

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

/// Tensors as they are taken out of a checkpoint.
pub(super) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a ModelConfig,
    dtype: Dtype,
    device: &'a Device,
    taken: BTreeSet<String>,
    /// Numbers taken so far.
    parameters: u64,
}

impl<'a> Weights<'a> {
    pub fn new(
        checkpoint: &'a Checkpoint,
        config: &'a ModelConfig,
        dtype: Dtype,
        device: &'a Device,
    ) -> Self {
        Self { checkpoint, config, dtype, device, taken: BTreeSet::new(), parameters: 0 }
    }

    /// The tensor with the Hugging Face name `name`, which must have this shape, on the device.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let numbers = self.take_numbers(name, shape)?;
        numbers.into_tensor(shape, self.device).map_err(|error| self.no_memory(name, first_line(&error)))
    }

    /// The numbers of that tensor, row by row.
    pub fn take_numbers(&mut self, name: &str, shape: &[usize]) -> Result<Numbers, WeightsError> {
        self.find(name, shape)?.numbers(self.dtype)
    }

    /// That tensor where it is stored. It counts as taken.
    pub fn find(&mut self, name: &str, shape: &[usize]) -> Result<Stored<'a>, WeightsError> {
        let rows = shape.iter().rev().skip(1).product();
        let width = shape.last().copied().unwrap_or(1);
        let stored = match self.checkpoint {
            Checkpoint::Safetensors { path, shards, shard_of } => {
                let shard = shard_of.get(name).and_then(|&number| shards.get(number));
                let Some((shard, stored)) = shard.and_then(|s| Some((s, s.tensors.get(name)?))) else {
                    return Err(WeightsError::Missing { path: path.clone(), tensor: name.to_owned() });
                };
                let (file, name) = (&shard.file, name.to_owned());
                self.check_shape(file.path(), &name, &stored.shape, shape)?;
                let (encoding, start) = (Encoding::Plain(stored.dtype), stored.range.start);
                Stored { file, name, encoding, start, rows, width, paired_heads: None }
            }
            Checkpoint::Gguf(gguf) => {
                let (file, stored_name) = (&gguf.file, gguf_name(name));
                let Some(stored) = gguf.tensors.get(&stored_name) else {
                    let path = file.path().to_owned();
                    return Err(WeightsError::Missing { path, tensor: stored_name });
                };
                self.check_shape(file.path(), &stored_name, &stored.shape, shape)?;
                let encoding = match stored.dtype {
                    GgmlDType::F32 => Encoding::Plain(Dtype::F32),
                    GgmlDType::F16 => Encoding::Plain(Dtype::F16),
                    GgmlDType::BF16 => Encoding::Plain(Dtype::Bf16),
                    blocks => Encoding::Blocks(blocks),
                };
                let is_turned = name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight");
                let paired_heads = (is_turned && self.config.architecture == Architecture::Llama)
                    .then_some(self.config.head_dim);
                let start = stored.range.start;
                Stored { file, name: stored_name, encoding, start, rows, width, paired_heads }
            }
        };
        self.parameters += shape.iter().product::<usize>() as u64;
        self.taken.insert(stored.name.clone());
        Ok(stored)
    }

    /// The file or index.
    pub fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    /// The error of a tensor that there is no memory for.
    pub fn no_memory(&self, tensor: &str, reason: String) -> WeightsError {
        WeightsError::Memory { path: self.checkpoint.path().to_owned(), tensor: tensor.to_owned(), reason }
    }

    /// `count` ones in single precision, on the device.
    pub fn ones(&self, count: usize) -> Result<Tensor, WeightsError> {
        Tensor::ones(count, candle_core::DType::F32, self.device).map_err(|error| WeightsError::Memory {
            path: self.checkpoint.path().to_owned(),
            tensor: "ones".to_owned(),
            reason: first_line(&error),
        })
    }

    /// GGUF's `rope_freqs.weight`, where it is there: divisors of the rotary frequencies, by which llama.cpp writes
    /// Llama 3's scaling.
    pub fn take_rope_divisors(&mut self) -> Result<Option<Vec<f32>>, WeightsError> {
        const NAME: &str = "rope_freqs.weight";
        let Checkpoint::Gguf(file) = self.checkpoint else { return Ok(None) };
        let Some(stored) = file.tensors.get(NAME) else { return Ok(None) };
        let path = file.file.path();
        self.check_shape(path, NAME, &stored.shape, &[self.config.head_dim / 2])?;
        self.taken.insert(NAME.to_owned());
        let mut divisors = Vec::new();
        if stored.dtype == GgmlDType::F32 {
            file.file.read_pieces(stored.range.clone(), 4, |piece| {
                divisors.extend(piece.as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)));
                Ok::<_, WeightsError>(())
            })?;
        }
        if divisors.is_empty() || !divisors.iter().all(|d| d.is_finite() && *d > 0.0) {
            let what = format!("tensor `{NAME}` has numbers other than F32 above 0");
            return Err(GgufError::Damaged { path: path.to_owned(), what }.into());
        }
        Ok(Some(divisors))
    }

    /// Ends the taking: nothing may be left.
    pub fn finish(self) -> Result<u64, WeightsError> {
        if self.config.tied_embeddings {
            self.check_tied()?;
        }
        self.checkpoint.check_unchanged()?;
        let left: Vec<_> = self
            .checkpoint
            .names()
            .into_iter()
            .filter(|name| !self.taken.contains(*name))
            // Frequencies that old transformers saved; they follow from the configuration.
            .filter(|name| !name.ends_with("rotary_emb.inv_freq"))
            .filter(|name| !(self.config.tied_embeddings && *name == "lm_head.weight"))
            .collect();
        match left.first() {
            None => Ok(self.parameters),
            Some(first) => Err(WeightsError::Unused {
                path: self.checkpoint.path().to_owned(),
                tensor: first.to_string(),
                count: left.len(),
                architecture: self.config.architecture.name(),
            }),
        }
    }

    /// A copy of the embedding may be saved as the output matrix; another matrix may not.
    fn check_tied(&self) -> Result<(), WeightsError> {
        let Checkpoint::Safetensors { shards, shard_of, .. } = self.checkpoint else { return Ok(()) };
        let stored = |name: &str| {
            let shard = shards.get(*shard_of.get(name)?)?;
            Some((&shard.file, shard.tensors.get(name)?))
        };
        let (Some((head_file, head)), Some((file, embedding))) =
            (stored("lm_head.weight"), stored("model.embed_tokens.weight"))
        else {
            return Ok(());
        };
        if head.dtype == embedding.dtype && same_bytes(head_file, head, file, embedding)? {
            return Ok(());
        }
        Err(WeightsError::Untied { path: head_file.path().to_owned() })
    }

    fn check_shape(
        &self,
        path: &Path,
        tensor: &str,
        found: &[usize],
        expected: &[usize],
    ) -> Result<(), WeightsError> {
        if found == expected {
            return Ok(());
        }
        Err(WeightsError::Shape {
            path: path.to_owned(),
            tensor: tensor.to_owned(),
            found: found.to_vec(),
            expected: expected.to_vec(),
        })
    }
}

/// Whether two tensors are the same, piece by piece.
fn same_bytes(
    file: &WeightFile,
    tensor: &StoredTensor,
    other_file: &WeightFile,
    other: &StoredTensor,
) -> Result<bool, WeightFileError> {
    if tensor.range.end - tensor.range.start != other.range.end - other.range.start {
        return Ok(false);
    }
    let (mut at, mut same, mut other_piece) = (other.range.start, true, Vec::new());
    file.read_pieces(tensor.range.clone(), 1, |piece| {
        if same {
            other_piece.resize(piece.len(), 0);
            other_file.read(at, &mut other_piece)?;
            same = piece == other_piece;
            at += piece.len() as u64;
        }
        Ok::<_, WeightFileError>(())
    })?;
    Ok(same)
}

/// llama.cpp's name of a tensor (`gguf-py/gguf/tensor_mapping.py`).
fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".to_owned(),
        "model.norm.weight" => return "output_norm.weight".to_owned(),
        "lm_head.weight" => return "output.weight".to_owned(),
        _ => {}
    }
    let renamed = name
        .replace("model.layers.", "blk.")
        .replace("input_layernorm", "attn_norm")
        .replace("post_attention_layernorm", "ffn_norm")
        .replace("self_attn.o_proj", "attn_output");
    let renamed = renamed.replace("self_attn.", "attn_").replace("mlp.", "ffn_");
    renamed.replace("_proj.", ".")
}

/// candle appends a backtrace to its messages.
pub(super) fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or("unknown failure").to_owned()
}

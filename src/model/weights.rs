//! Weights by their roles, for both file formats.
//!
//! A tensor that is never taken is an error: it would belong to a part of the model that is left out.

use std::collections::BTreeSet;
use std::path::Path;

use super::config::model_config::ModelConfig;
use super::config::tensor_role::{TensorId, TensorRole};
use super::files::checkpoint::Checkpoint;
use super::files::encoding::Encoding;
use super::files::error::WeightsError;
use super::files::gguf_value::GgufError;
use super::files::numbers::Numbers;
use super::files::safetensors::TensorEntry;
use super::files::stored_tensor::StoredTensor;
use super::files::weight_file::{WeightFile, WeightFileError};
use crate::kernels::dtype::Dtype;
use crate::kernels::weight_format::of_dtype;

/// Takes tensors out of a checkpoint, and records which.
pub struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a ModelConfig,
    dtype: Dtype,
    taken: BTreeSet<String>,
    /// Number of weights taken so far.
    parameters: u64,
}

impl<'a> Weights<'a> {
    pub fn new(checkpoint: &'a Checkpoint, config: &'a ModelConfig, dtype: Dtype) -> Self {
        Self { checkpoint, config, dtype, taken: BTreeSet::new(), parameters: 0 }
    }

    /// The values of a tensor, row-major, in the model's dtype.
    pub fn take_values(&mut self, tensor: TensorId, shape: &[usize]) -> Result<Numbers, WeightsError> {
        self.find(tensor, shape)?.numbers(self.dtype)
    }

    /// Finds a tensor in its file. It counts as taken.
    pub fn find(&mut self, tensor: TensorId, shape: &[usize]) -> Result<StoredTensor<'a>, WeightsError> {
        let name = self.name(tensor);
        let rows = shape.iter().rev().skip(1).product();
        let width = shape.last().copied().unwrap_or(1);
        let stored = match self.checkpoint {
            Checkpoint::Safetensors { path, shards, shard_of } => {
                let shard = shard_of.get(&name).and_then(|&number| shards.get(number));
                let Some((shard, stored)) = shard.and_then(|s| Some((s, s.tensors.get(&name)?))) else {
                    return Err(WeightsError::Missing { path: path.clone(), tensor: name });
                };
                let file = &shard.file;
                self.check_shape(file.path(), &name, &stored.shape, shape)?;
                let (encoding, start) = (Encoding::of_dtype(stored.dtype), stored.range.start);
                StoredTensor { file, name, encoding, start, rows, width, paired_heads: None }
            }
            Checkpoint::Gguf(gguf) => {
                let found = gguf.tensors.get(&name).and_then(|s| Some((gguf.files.get(s.file)?, s)));
                let Some((file, stored)) = found else {
                    let path = self.checkpoint.path().to_owned();
                    return Err(WeightsError::Missing { path, tensor: name });
                };
                self.check_shape(file.path(), &name, &stored.shape, shape)?;
                let is_rotated =
                    matches!(tensor.role, TensorRole::Query | TensorRole::Key) && !tensor.is_bias;
                let paired_heads = (is_rotated && self.config.architecture.gguf_has_paired_rows)
                    .then_some(self.config.head_dim);
                let encoding = stored.encoding;
                let start = stored.range.start;
                StoredTensor { file, name, encoding, start, rows, width, paired_heads }
            }
        };
        self.parameters += shape.iter().product::<usize>() as u64;
        self.taken.insert(stored.name.clone());
        Ok(stored)
    }

    /// The name of a tensor in the checkpoint.
    pub fn name(&self, tensor: TensorId) -> String {
        let architecture = self.config.architecture;
        let name = match self.checkpoint {
            Checkpoint::Safetensors { .. } => architecture.hf_tensor(tensor),
            Checkpoint::Gguf(_) => architecture.gguf_tensor(tensor),
        };
        // Reported as missing: no file has a tensor of this name.
        name.unwrap_or_else(|| format!("{:?} of {}", tensor.role, architecture.name))
    }

    /// The weight file or the index.
    pub fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    /// The error for a tensor that doesn't fit in memory.
    pub fn no_memory(&self, tensor: &str, reason: String) -> WeightsError {
        WeightsError::Memory { path: self.checkpoint.path().to_owned(), tensor: tensor.to_owned(), reason }
    }

    /// GGUF's `rope_freqs.weight`, if present: divisors of the rotary frequencies, in which llama.cpp stores
    /// Llama 3's scaling.
    pub fn take_rope_divisors(&mut self) -> Result<Option<Vec<f32>>, WeightsError> {
        const NAME: &str = "rope_freqs.weight";
        let Checkpoint::Gguf(gguf) = self.checkpoint else { return Ok(None) };
        let found = gguf.tensors.get(NAME).and_then(|stored| Some((gguf.files.get(stored.file)?, stored)));
        let Some((file, stored)) = found else { return Ok(None) };
        let path = file.path();
        self.check_shape(path, NAME, &stored.shape, &[self.config.head_dim / 2])?;
        self.taken.insert(NAME.to_owned());
        let mut divisors = Vec::new();
        if stored.encoding.is_plain(Dtype::F32) {
            file.read_pieces(stored.range.clone(), 4, |piece| {
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

    /// Checks that all tensors were taken and no file changed. Returns the number of weights.
    pub fn finish(self) -> Result<u64, WeightsError> {
        if self.config.tied_embeddings {
            self.check_tied()?;
        }
        self.checkpoint.check_unchanged()?;
        let head = self.name(TensorRole::Head.into());
        let left: Vec<_> = self
            .checkpoint
            .names()
            .into_iter()
            .filter(|name| !self.taken.contains(*name))
            // Frequencies that old versions of transformers saved; they follow from the configuration.
            .filter(|name| !name.ends_with("rotary_emb.inv_freq"))
            .filter(|name| !(self.config.tied_embeddings && **name == head))
            .collect();
        match left.first() {
            None => Ok(self.parameters),
            Some(first) => Err(WeightsError::Unused {
                path: self.checkpoint.path().to_owned(),
                tensor: first.to_string(),
                count: left.len(),
                architecture: self.config.architecture.class,
            }),
        }
    }

    /// With tied embeddings the file may hold a copy of the embedding as the output matrix, but no other
    /// matrix.
    fn check_tied(&self) -> Result<(), WeightsError> {
        let Checkpoint::Safetensors { shards, shard_of, .. } = self.checkpoint else { return Ok(()) };
        let [head_name, embedding_name] =
            [TensorRole::Head, TensorRole::Embedding].map(|role| self.name(role.into()));
        let stored = |name: &str| {
            let shard = shards.get(*shard_of.get(name)?)?;
            Some((&shard.file, shard.tensors.get(name)?))
        };
        let (Some((head_file, head)), Some((file, embedding))) =
            (stored(&head_name), stored(&embedding_name))
        else {
            return Ok(());
        };
        if head.shape == embedding.shape && same_values(head_file, head, file, embedding)? {
            return Ok(());
        }
        Err(WeightsError::Untied {
            path: head_file.path().to_owned(),
            head: head_name,
            embedding: embedding_name,
        })
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

/// Whether two tensors of one shape have the same values, or one of them those of the other rounded to its own
/// dtype. Compares them piece by piece.
fn same_values(
    file: &WeightFile,
    tensor: &TensorEntry,
    other_file: &WeightFile,
    other: &TensorEntry,
) -> Result<bool, WeightFileError> {
    let (size, other_size) = (tensor.dtype.size(), other.dtype.size());
    let (mut at, mut other_piece) = (other.range.start, Vec::new());
    // Whether the one is the other rounded, and the other way round.
    let mut rounded = [true; 2];
    file.read_pieces(tensor.range.clone(), size, |piece| {
        let count = piece.len() / size;
        other_piece.resize(count * other_size, 0);
        other_file.read(at, &mut other_piece)?;
        at += other_piece.len() as u64;
        rounded[0] = rounded[0] && piece == converted(other.dtype, &other_piece, tensor.dtype);
        rounded[1] = rounded[1] && other_piece == converted(tensor.dtype, piece, other.dtype);
        Ok::<_, WeightFileError>(())
    })?;
    Ok(rounded != [false; 2])
}

/// Little-endian values of one dtype in another one.
fn converted(from: Dtype, bytes: &[u8], to: Dtype) -> Vec<u8> {
    if from == to {
        return bytes.to_vec();
    }
    let mut values = vec![0.0; bytes.len() / from.size()];
    of_dtype(from).read(bytes, &mut values);
    let mut written = vec![0; values.len() * to.size()];
    to.write(&values, &mut written);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_change_while_they_load_are_an_error() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model");
        let config = ModelConfig::from_hf_file(&sample.join("config.json")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let whole = std::fs::read(sample.join("model.safetensors")).unwrap();
        let norm = (TensorRole::FinalNorm.into(), [config.hidden_size]);
        for cut in [true, false] {
            std::fs::write(&path, &whole).unwrap();
            let checkpoint = Checkpoint::open_folder(folder.path()).unwrap();
            let mut weights = Weights::new(&checkpoint, &config, Dtype::F32);
            weights.take_values(norm.0, &norm.1).unwrap();
            let length = if cut { whole.len() as u64 / 2 } else { whole.len() as u64 + 1 };
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
            let error = if cut { weights.take_values(norm.0, &norm.1).err() } else { weights.finish().err() };
            let error = error.unwrap();
            assert!(
                error.to_string().contains("model.safetensors: changed while it was read: it "),
                "{error}"
            );
            assert_eq!(miette::Diagnostic::code(&error).unwrap().to_string(), "assay::engine");
            assert!(miette::Diagnostic::help(&error).is_some());
        }
    }
}

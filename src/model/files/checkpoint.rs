//! The files of a checkpoint: safetensors, single or in shards, or GGUF.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::WeightsError;
use super::gguf::GgufFile;
use super::safetensors::SafetensorsFile;
use super::weight_file::{WeightFile, WeightFileError};
use crate::disk;
use crate::kernels::dtype::Dtype;
use crate::vocabulary::is_lfs_pointer;

/// An opened checkpoint.
pub enum Checkpoint {
    Safetensors {
        /// The single file, or the index.
        path: PathBuf,
        shards: Vec<SafetensorsFile>,
        /// Index of each tensor's shard.
        shard_of: BTreeMap<String, usize>,
    },
    Gguf(Box<GgufFile>),
}

impl Checkpoint {
    /// Opens the safetensors of a Hugging Face folder; like transformers, prefers a single file to an index.
    pub fn open_folder(folder: &Path) -> Result<Self, WeightsError> {
        let single = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        let (path, files) = if single.exists() {
            if index.exists() {
                check_index_beside(folder, &index)?;
            }
            (single, None)
        } else if index.exists() {
            let files = read_index(&index)?;
            (index, Some(files))
        } else {
            return Err(WeightsError::NoWeights { path: folder.to_owned() });
        };
        let names = match &files {
            None => vec!["model.safetensors"],
            Some(files) => files.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect(),
        };
        let mut shards = Vec::new();
        let mut shard_of = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            let shard = SafetensorsFile::open(&folder.join(name))?;
            for tensor in shard.tensors.keys() {
                // The index decides which of several shards a tensor is of: edited models overlay old shards.
                let indexed = files.as_ref().and_then(|files| files.get(tensor));
                if indexed.is_some_and(|file| file != name) {
                    continue;
                }
                if shard_of.insert(tensor.clone(), number).is_some() {
                    let what = "is in another shard too";
                    return Err(WeightsError::Shard {
                        path: folder.join(name),
                        tensor: tensor.clone(),
                        what,
                    });
                }
            }
            shards.push(shard);
        }
        for (tensor, name) in files.iter().flatten() {
            if shard_of.get(tensor).is_none_or(|&number| names[number] != name) {
                let what = "is not there, as the index says";
                return Err(WeightsError::Shard { path: folder.join(name), tensor: tensor.clone(), what });
            }
        }
        Ok(Checkpoint::Safetensors { path, shards, shard_of })
    }

    /// The weight files, in reading order.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Checkpoint::Safetensors { shards, .. } => {
                shards.iter().map(|shard| shard.file.path().to_owned()).collect()
            }
            Checkpoint::Gguf(gguf) => gguf.files.iter().map(|file| file.path().to_owned()).collect(),
        }
    }

    /// Bytes of the weight files that were read by now, and bytes of all.
    pub fn progress(&self) -> (u64, u64) {
        let files: Vec<&WeightFile> = match self {
            Checkpoint::Safetensors { shards, .. } => shards.iter().map(|shard| &shard.file).collect(),
            Checkpoint::Gguf(gguf) => gguf.files.iter().collect(),
        };
        let progress = files.into_iter().map(WeightFile::progress);
        progress.fold((0, 0), |(read, of), (more, length)| (read + more, of + length))
    }

    /// Checks that no file changed since it was opened.
    pub fn check_unchanged(&self) -> Result<(), WeightFileError> {
        match self {
            Checkpoint::Safetensors { shards, .. } => {
                shards.iter().try_for_each(|shard| shard.file.check_unchanged())
            }
            Checkpoint::Gguf(gguf) => gguf.files.iter().try_for_each(WeightFile::check_unchanged),
        }
    }

    /// The dtype of all tensors, if they have the same.
    pub fn stored_dtype(&self) -> Option<Dtype> {
        let Checkpoint::Safetensors { shards, .. } = self else { return None };
        let mut dtypes = shards.iter().flat_map(|shard| shard.tensors.values().map(|tensor| tensor.dtype));
        let first = dtypes.next()?;
        dtypes.all(|dtype| dtype == first).then_some(first)
    }

    /// The single file or the first of several parts, or the index.
    pub fn path(&self) -> &Path {
        match self {
            Checkpoint::Safetensors { path, .. } => path,
            Checkpoint::Gguf(gguf) => gguf.metadata.path(),
        }
    }

    /// Names of the tensors in the files.
    pub fn names(&self) -> Vec<&String> {
        match self {
            Checkpoint::Safetensors { shard_of, .. } => shard_of.keys().collect(),
            Checkpoint::Gguf(file) => file.tensors.keys().collect(),
        }
    }
}

/// An error where the index beside a single file is of other shards that are there: nothing says which of the two models is meant.
fn check_index_beside(folder: &Path, index: &Path) -> Result<(), WeightsError> {
    let Ok(files) = read_index(index) else { return Ok(()) };
    match files.into_values().find(|shard| shard != "model.safetensors" && folder.join(shard).exists()) {
        None => Ok(()),
        Some(shard) => Err(WeightsError::TwoModels { path: folder.to_owned(), shard }),
    }
}

/// Reads the file name of each tensor.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>, WeightsError> {
    let wrong = |what: String| WeightsError::Index { path: path.to_owned(), what };
    let bytes = disk::read(path, disk::TEXT).map_err(|error| wrong(error.to_string()))?;
    if is_lfs_pointer(&bytes) {
        return Err(WeightsError::Pointer { path: path.to_owned() });
    }
    let index: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| wrong("`weight_map` is missing, expected an object".to_owned()))?;
    if map.is_empty() {
        return Err(wrong("`weight_map` is empty".to_owned()));
    }
    let mut files = BTreeMap::new();
    for (tensor, file) in map {
        // A shard lies beside its index. An untrusted index must not make us open other files.
        match file.as_str().filter(|name| Path::new(name).file_name() == Some(name.as_ref())) {
            Some(name) => files.insert(tensor.clone(), name.to_owned()),
            None => {
                return Err(wrong(format!("`weight_map` puts `{tensor}` in {file}, expected a file name")));
            }
        };
    }
    Ok(files)
}

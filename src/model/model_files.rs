//! A model's files, opened once: configuration and headers of weights.

use std::path::{Path, PathBuf};

use super::arch::config_from_gguf;
use super::config::model_config::ModelConfig;
use super::error::LoadError;
use super::files::checkpoint::Checkpoint;
use super::files::gguf::GgufFile;
use super::files::gguf_value::GgufMetadata;
use crate::kernels::dtype::Dtype;

/// The files of a model, opened: its configuration is read, its weights are not.
pub struct ModelFiles {
    path: PathBuf,
    config: ModelConfig,
    checkpoint: Checkpoint,
}

impl ModelFiles {
    /// Opens a Hugging Face folder or a GGUF file.
    ///
    /// # Errors
    /// [`LoadError`], where a file is missing, damaged, inconsistent, or describes a model that isn't computed here.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let (config, checkpoint) = match is_folder(path)? {
            true => (folder_config(path)?, Checkpoint::open_folder(path)?),
            false => {
                let file = GgufFile::open(path)?;
                (config_from_gguf(&file)?, Checkpoint::Gguf(Box::new(file)))
            }
        };
        Ok(Self { path: path.to_owned(), config, checkpoint })
    }

    /// As given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The files that hold weights, in the order in which they are read.
    pub fn weight_files(&self) -> Vec<PathBuf> {
        self.checkpoint.files()
    }

    /// The metadata of a GGUF file.
    pub fn gguf_metadata(&self) -> Option<&GgufMetadata> {
        match &self.checkpoint {
            Checkpoint::Gguf(file) => Some(&file.metadata),
            Checkpoint::Safetensors { .. } => None,
        }
    }

    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// The configuration of the model at `path`, without its weights.
///
/// # Errors
/// As [`ModelFiles::open`], for the configuration.
pub fn config_of(path: &Path) -> Result<ModelConfig, LoadError> {
    match is_folder(path)? {
        true => folder_config(path),
        false => Ok(config_from_gguf(&GgufFile::open(path)?)?),
    }
}

/// Positions of the model at `path`, and the bytes that keys and values of a token take in its own number format (two bytes a
/// number where it names none): what a plan needs, read from its configuration alone.
///
/// # Errors
/// As [`config_of`].
pub fn shape_of(path: &Path) -> Result<(usize, u64), LoadError> {
    let config = config_of(path)?;
    let dtype = if path.is_dir() { config.dtype.unwrap_or(Dtype::Bf16) } else { Dtype::F32 };
    Ok((config.max_positions, config.kv_bytes_per_token(dtype)))
}

/// What the model at `path` is called: its folder's name, or its file's without the ending.
pub fn name_of(path: &Path) -> String {
    // `.` and `..` have no name of their own.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn is_folder(path: &Path) -> Result<bool, LoadError> {
    let kind = std::fs::metadata(path);
    Ok(kind.map_err(|reason| LoadError::NotFound { path: path.to_owned(), reason })?.is_dir())
}

fn folder_config(folder: &Path) -> Result<ModelConfig, LoadError> {
    let file = folder.join("config.json");
    match file.exists() {
        true => Ok(ModelConfig::from_hf_file(&file)?),
        false => Err(LoadError::NoConfig { path: folder.to_owned() }),
    }
}

//! A model's files, opened once: the configuration and the headers of the weight files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::arch::config_from_gguf;
use super::config::hf_keys::read_object;
use super::config::model_config::ModelConfig;
use super::error::LoadError;
use super::files::checkpoint::Checkpoint;
use super::files::gguf::GgufFile;
use super::files::gguf_value::GgufMetadata;
use crate::kernels::dtype::Dtype;

/// The opened files of a model: its configuration is read, its weights are not.
pub struct ModelFiles {
    path: PathBuf,
    config: ModelConfig,
    beginning_of_text: Option<u32>,
    checkpoint: Checkpoint,
}

impl ModelFiles {
    /// Opens a Hugging Face folder or a GGUF file.
    ///
    /// # Errors
    /// [`LoadError`] if a file is missing, damaged or inconsistent, or describes an unsupported model.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let (config, checkpoint) = if is_folder(path)? {
            (folder_config(path)?, Checkpoint::open_folder(path)?)
        } else {
            let file = GgufFile::open(path)?;
            (config_from_gguf(&file)?, Checkpoint::Gguf(Box::new(file)))
        };
        let beginning_of_text = match &checkpoint {
            Checkpoint::Gguf(file) => file.metadata.whole("tokenizer.ggml.bos_token_id")?,
            Checkpoint::Safetensors { .. } => {
                let keys = read_object(&path.join("config.json"))?;
                keys.get("bos_token_id").and_then(Value::as_u64)
            }
        };
        let beginning_of_text = beginning_of_text.and_then(|id| u32::try_from(id).ok());
        Ok(Self { path: path.to_owned(), config, beginning_of_text, checkpoint })
    }

    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The token that begins a text, if the configuration names one.
    pub fn beginning_of_text(&self) -> Option<u32> {
        self.beginning_of_text
    }

    /// The files that hold weights, in reading order.
    pub fn weight_files(&self) -> Vec<PathBuf> {
        self.checkpoint.files()
    }

    /// The metadata of a GGUF file; `None` for safetensors.
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
    if is_folder(path)? { folder_config(path) } else { Ok(config_from_gguf(&GgufFile::open(path)?)?) }
}

/// Maximum positions of the model at `path`, and its bytes of keys and values per token in its own dtype (two
/// bytes per value if it names none): what a plan needs, read from the configuration alone.
///
/// # Errors
/// As [`config_of`].
pub fn shape_of(path: &Path) -> Result<(usize, u64), LoadError> {
    let config = config_of(path)?;
    let dtype = if path.is_dir() { config.dtype.unwrap_or(Dtype::Bf16) } else { Dtype::F32 };
    Ok((config.max_positions, config.kv_bytes_per_token(dtype)))
}

/// Name of the model at `path`: its folder's name, or its file's name without the extension.
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
    if file.exists() {
        Ok(ModelConfig::from_hf_file(&file)?)
    } else {
        Err(LoadError::NoConfig { path: folder.to_owned() })
    }
}

//! A model's files, opened once: the configuration and the headers of the weight files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::arch::config_from_gguf;
use super::config::hf_keys::read_object;
use super::config::model_config::ModelConfig;
use super::error::LoadError;
use super::files::checkpoint::Checkpoint;
use super::files::error::WeightsError;
use super::files::gguf::GgufFile;
use super::files::gguf_part_name::GgufPartName;
use super::files::gguf_value::GgufMetadata;
use super::files::safetensors::SafetensorsError;
use super::model_path::check_model_path;
use super::options::DtypeChoice;
use crate::disk;
use crate::kernels::dtype::Dtype;

/// The opened files of a model: its configuration is read, its weights are not.
pub struct ModelFiles {
    path: PathBuf,
    config: ModelConfig,
    beginning_of_text: Option<u32>,
    /// `None` for a folder that was opened without its weights.
    checkpoint: Option<Checkpoint>,
}

impl ModelFiles {
    /// Opens a Hugging Face folder or a GGUF file.
    ///
    /// # Errors
    /// [`LoadError`] if a file is missing, damaged or inconsistent, or describes an unsupported model.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let files = Self::open_config(path)?;
        let checkpoint = match files.checkpoint {
            Some(checkpoint) => checkpoint,
            None => Checkpoint::open_folder(path)?,
        };
        Ok(Self { checkpoint: Some(checkpoint), ..files })
    }

    /// The same, but for a folder's weights where there are none: what a model would take is known before its weights are fetched.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_or_without_weights(path: &Path) -> Result<Self, LoadError> {
        let files = Self::open_config(path)?;
        if files.checkpoint.is_some() {
            return Ok(files);
        }
        match Checkpoint::open_folder(path) {
            Ok(checkpoint) => Ok(Self { checkpoint: Some(checkpoint), ..files }),
            // Pointers of git-lfs stand where weights have not been fetched.
            Err(
                WeightsError::NoWeights { .. }
                | WeightsError::Pointer { .. }
                | WeightsError::Safetensors(SafetensorsError::Pointer { .. }),
            ) => Ok(files),
            // The index of shards is there before they are.
            Err(WeightsError::Safetensors(SafetensorsError::Open { reason, .. }))
                if reason.kind() == ErrorKind::NotFound =>
            {
                Ok(files)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the weights are there.
    pub fn have_weights(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// The configuration, and what the file that holds it has besides.
    fn open_config(path: &Path) -> Result<Self, LoadError> {
        check_model_path(path)?;
        let (config, checkpoint) = if path.is_dir() {
            (folder_config(path)?, None)
        } else {
            let file = GgufFile::open(path)?;
            (config_from_gguf(&file)?, Some(Checkpoint::Gguf(Box::new(file))))
        };
        let beginning_of_text = match &checkpoint {
            Some(Checkpoint::Gguf(file)) => file.metadata.whole("tokenizer.ggml.bos_token_id")?,
            _ => {
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
        self.checkpoint.as_ref().map(Checkpoint::files).unwrap_or_default()
    }

    /// Bytes of weights that were read by now, and bytes of all: how far a model that is being loaded is.
    pub fn progress(&self) -> (u64, u64) {
        self.checkpoint.as_ref().map(Checkpoint::progress).unwrap_or_default()
    }

    /// The dtype in which the model is computed: the one asked for, that of the configuration, or that of the weights; single precision
    /// for GGUF.
    ///
    /// # Errors
    /// [`LoadError::NoDtype`].
    pub fn dtype(&self, asked: DtypeChoice) -> Result<Dtype, LoadError> {
        let own = match &self.checkpoint {
            Some(Checkpoint::Gguf(_)) => Some(Dtype::F32),
            checkpoint => self.config.dtype.or_else(|| checkpoint.as_ref()?.stored_dtype()),
        };
        asked.asked().or(own).ok_or_else(|| LoadError::NoDtype { path: self.path.clone() })
    }

    /// The metadata of a GGUF file; `None` for safetensors.
    pub fn gguf_metadata(&self) -> Option<&GgufMetadata> {
        match &self.checkpoint {
            Some(Checkpoint::Gguf(file)) => Some(&file.metadata),
            _ => None,
        }
    }

    pub(super) fn checkpoint(&self) -> Result<&Checkpoint, LoadError> {
        let checkpoint = self.checkpoint.as_ref();
        Ok(checkpoint.ok_or_else(|| WeightsError::NoWeights { path: self.path.clone() })?)
    }
}

/// The configuration of the model at `path`, without its weights.
///
/// # Errors
/// As [`ModelFiles::open`], for the configuration.
pub fn config_of(path: &Path) -> Result<ModelConfig, LoadError> {
    check_model_path(path)?;
    if path.is_dir() { folder_config(path) } else { Ok(config_from_gguf(&GgufFile::open(path)?)?) }
}

/// Name of the model at `path`, as it was typed: its folder's name, that of a link included, or its file's name without the
/// extension and the number of a part. A folder of the hub's cache is called after the model.
pub fn name_of(path: &Path) -> String {
    // `.` and `..` have no name of their own.
    let real = path.canonicalize().ok().filter(|_| path.file_name().is_none());
    let path = real.as_deref().unwrap_or(path);
    if let Some(name) = hub_name(path) {
        return name;
    }
    if let Some(part) = GgufPartName::of(path).filter(|_| !path.is_dir()) {
        return part.stem;
    }
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The model's name in a folder of the hub's cache: `models--owner--name`, or `snapshots/<commit>` in it.
fn hub_name(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok().filter(|path| path.is_dir())?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let above = path.parent();
    let folder = match above.and_then(name) {
        Some(parent) if parent == "snapshots" => above?.parent().and_then(name)?,
        _ => name(&path)?,
    };
    let model = folder.strip_prefix("models--")?;
    Some(model.rsplit_once("--").map_or(model, |(_, name)| name).to_string()).filter(|name| !name.is_empty())
}

/// The snapshot that a model's folder in the hub's cache stands for, by its `refs/main`; `None` if the folder is no such folder.
///
/// # Errors
/// It names no snapshot that is there: what is missing.
pub fn hub_snapshot(folder: &Path) -> Result<Option<PathBuf>, String> {
    let snapshots = folder.join("snapshots");
    if folder.join("config.json").exists() || !snapshots.is_dir() {
        return Ok(None);
    }
    let reference = folder.join("refs/main");
    let shown = folder.display();
    if let Ok(commit) = disk::read_text(&reference, disk::TEXT) {
        let commit = commit.trim();
        let snapshot = snapshots.join(commit);
        let plain = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return if plain && snapshot.is_dir() {
            Ok(Some(snapshot))
        } else {
            Err(format!(
                "{shown}: refs/main names the snapshot `{}`, which is not there",
                commit.escape_default()
            ))
        };
    }
    let entries = std::fs::read_dir(&snapshots).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(Some(only)),
        (_, more) => Err(format!("{shown}: no refs/main, and {} snapshots", more + usize::from(more > 0))),
    }
}

fn folder_config(folder: &Path) -> Result<ModelConfig, LoadError> {
    let file = folder.join("config.json");
    if file.exists() {
        Ok(ModelConfig::from_hf_file(&file)?)
    } else {
        Err(LoadError::NoConfig { path: folder.to_owned() })
    }
}

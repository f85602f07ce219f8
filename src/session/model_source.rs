//! Which model and which tokenizer a run uses.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::SessionError;
use crate::builtin;
use crate::engine::{CODE, EngineIdentity, Numerics};
use crate::model::{GgufMetadata, LoadError, Model, check_model_path, hub_snapshot, name_of};
use crate::store::ModelRecord;
use crate::tokenizer::{Tokenizer, gguf};
use crate::vocabulary::Fingerprint;

/// The model to load.
pub struct ModelSource {
    /// A folder or a .gguf file.
    pub path: PathBuf,
    /// Its name, as it was typed.
    pub name: String,
    /// Whether it is the built-in sample.
    pub sample: bool,
    /// This process's own copy of the sample, removed on drop.
    _scratch: Option<TempDir>,
}

impl ModelSource {
    /// The model given by the user, or the built-in sample.
    pub fn find(typed: Option<&Path>) -> Result<Self, SessionError> {
        match typed {
            Some(path) if path.exists() => {
                let snapshot = hub_snapshot(path).map_err(|what| {
                    SessionError::input(what, "download the model again, or give the folder of a snapshot")
                })?;
                let name = name_of(path);
                let path = snapshot.unwrap_or_else(|| path.to_path_buf());
                check_model_path(&path)?;
                Ok(Self { path, name, sample: false, _scratch: None })
            }
            Some(path) => {
                let shown = path.display();
                let hub = !path.is_absolute() && path.components().count() == 2;
                let hint = if hub {
                    "models are not fetched from the hub yet: download it and give its folder or .gguf file"
                } else {
                    "give a folder with config.json, tokenizer.json and safetensors, or a .gguf file"
                };
                Err(SessionError::input(format!("{shown}: no such model"), hint))
            }
            None => {
                let (path, scratch) = builtin::unpack("sample_model").map_err(|(scratch, error)| {
                    SessionError::input(
                        format!("{}: cannot be written: {error}", scratch.display()),
                        "the built-in sample model is unpacked there: name another folder with TMPDIR",
                    )
                })?;
                Ok(Self { name: name_of(&path), path, sample: true, _scratch: scratch })
            }
        }
    }

    /// A path as records show it. The path to which the sample was unpacked says nothing about a run, so it
    /// is replaced.
    fn shown(&self, path: &Path) -> String {
        match (self.sample, path.file_name()) {
            (true, Some(name)) => format!("built-in/{}", name.to_string_lossy()),
            _ => path.display().to_string(),
        }
    }

    /// The engine's identity, once the weights are hashed.
    pub fn identity(
        &self,
        model: &Model,
        weights: Vec<(PathBuf, Fingerprint)>,
        end_of_text: &[u32],
    ) -> EngineIdentity {
        let facts = model.facts();
        EngineIdentity {
            name: self.name.clone(),
            location: self.shown(&facts.path),
            architecture: Some(facts.architecture.to_string()),
            parameters: Some(facts.parameters),
            weights: Some(weights.into_iter().map(|(path, hash)| (self.shown(&path), hash)).collect()),
            config: Some(Fingerprint::of(format!("{:?}", model.config()).as_bytes())),
            end_of_text: end_of_text.to_vec(),
            numerics: Numerics {
                dtype: Some(facts.dtype.to_string()),
                device: Some(facts.device.clone()),
                kernels: Some(facts.kernels.to_string()),
                code: Some(CODE.clone()),
            },
        }
    }

    /// The model's part of a run's record. `tokenizer_faults` say why the tokenizer may not be the model's.
    pub fn record(
        &self,
        engine: &EngineIdentity,
        max_length: usize,
        tokenizer: &Tokenizer,
        tokenizer_faults: Vec<String>,
    ) -> ModelRecord {
        ModelRecord {
            engine: engine.clone(),
            max_length,
            tokenizer: (self.shown(&tokenizer.path), tokenizer.fingerprint.clone()),
            tokenizer_faults,
            sample: self.sample,
        }
    }

    /// The `tokenizer.json` beside the weights, if there is one.
    pub fn tokenizer_beside(&self) -> Option<PathBuf> {
        let folder = if self.path.is_dir() {
            self.path.as_path()
        } else {
            self.path.parent().unwrap_or(Path::new(""))
        };
        Some(folder.join("tokenizer.json")).filter(|beside| beside.exists())
    }

    /// The tokenizer beside the weights, or the one in a GGUF file's metadata.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn own_tokenizer(&self, metadata: Option<&GgufMetadata>) -> Result<Tokenizer, SessionError> {
        if let Some(beside) = self.tokenizer_beside() {
            return tokenizer_of(&beside);
        }
        match metadata {
            Some(metadata) => of_metadata(metadata),
            None if self.path.is_file() => {
                of_metadata(&GgufMetadata::read(&self.path).map_err(LoadError::from)?)
            }
            None => Err(SessionError::input(
                format!("{}: no tokenizer.json", self.path.display()),
                "give one with --tokenizer FILE, or put the model's own into its folder",
            )),
        }
    }
}

/// The tokenizer in a `tokenizer.json`, or in a GGUF file's metadata.
///
/// # Errors
/// There is none, or it is damaged.
pub fn tokenizer_of(path: &Path) -> Result<Tokenizer, SessionError> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) {
        return of_metadata(&GgufMetadata::read(path).map_err(LoadError::from)?);
    }
    // A folder stands for the tokenizer in it, as for lm_eval.
    if path.is_dir() {
        Ok(Tokenizer::from_file(&path.join("tokenizer.json"))?)
    } else {
        Ok(Tokenizer::from_file(path)?)
    }
}

fn of_metadata(metadata: &GgufMetadata) -> Result<Tokenizer, SessionError> {
    let inner = gguf::from_metadata(metadata)?;
    let written = inner.to_string(false).unwrap_or_default();
    let marks = gguf::gguf_marks(metadata)?;
    let fingerprint = Fingerprint::of(written.as_bytes());
    let tokenizer = Tokenizer::new(inner, metadata.path().to_path_buf(), fingerprint)?;
    Ok(tokenizer.with_marks(marks.begin, marks.before, marks.after))
}

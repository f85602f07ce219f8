//! Which model and which tokenizer are meant.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output::say;
use crate::builtin;
use crate::model::{Model, ModelFacts};
use crate::tokenizer::{Tokenizer, gguf};
use crate::vocabulary::Fingerprint;

/// The model to load.
pub struct ModelSource {
    /// A folder or a .gguf file.
    pub path: PathBuf,
    /// Whether it is the built-in sample.
    pub sample: bool,
    /// Copies of the sample, removed with it.
    scratch: Option<PathBuf>,
}

impl Drop for ModelSource {
    fn drop(&mut self) {
        if let Some(scratch) = &self.scratch {
            // Temporary copies; nothing depends on their removal.
            let _ = std::fs::remove_dir_all(scratch);
        }
    }
}

impl ModelSource {
    /// The model typed, or the built-in sample.
    pub fn find(typed: Option<&Path>) -> Result<Self, Failure> {
        match typed {
            Some(path) if path.exists() => {
                Ok(Self { path: path.to_path_buf(), sample: false, scratch: None })
            }
            Some(path) => {
                let shown = path.display();
                let hub = !path.is_absolute() && path.components().count() == 2;
                let hint = match hub {
                    true => {
                        "models are not fetched from the hub yet: download it and give its folder or .gguf file"
                    }
                    false => {
                        "give a folder with config.json, tokenizer.json and safetensors, or a .gguf file"
                    }
                };
                Err(Failure::bad_input(format!("{shown}: no such model"), hint))
            }
            None => {
                let scratch = std::env::temp_dir().join(format!("assay-{}", std::process::id()));
                let path = builtin::unpack("sample_model", &scratch).map_err(|error| {
                    Failure::bad_input(
                        format!("{}: cannot be written: {error}", scratch.display()),
                        "the built-in sample model is unpacked there: name another folder with TMPDIR",
                    )
                })?;
                Ok(Self { path, sample: true, scratch: Some(scratch) })
            }
        }
    }

    /// The tokenizer typed, the one beside the weights, or the one in a GGUF file's metadata.
    pub fn tokenizer(&self, typed: Option<&Path>, model: &Model) -> Result<Tokenizer, Failure> {
        let folder = match self.path.is_dir() {
            true => self.path.as_path(),
            false => self.path.parent().unwrap_or(Path::new("")),
        };
        let beside = folder.join("tokenizer.json");
        let mut tokenizer = match typed {
            Some(path) => Tokenizer::from_file(path)?,
            None if beside.exists() => Tokenizer::from_file(&beside)?,
            None if self.path.is_file() => {
                let inner = gguf::gguf_tokenizer(&self.path)?;
                let written = inner.to_string(false).unwrap_or_default();
                Tokenizer::new(inner, self.path.clone(), Fingerprint::of(written.as_bytes()))
            }
            None => {
                return Err(Failure::bad_input(
                    format!("{}: no tokenizer.json", self.path.display()),
                    "give one with --tokenizer FILE, or put the model's own into its folder",
                ));
            }
        };
        let facts = model.facts();
        if tokenizer.end_of_text.is_none() {
            tokenizer.end_of_text = facts.eos_token_ids.first().copied();
        }
        warn_of_size(&tokenizer, facts);
        Ok(tokenizer)
    }
}

/// A larger tokenizer alone is no error: its last tokens may never be used.
fn warn_of_size(tokenizer: &Tokenizer, facts: &ModelFacts) {
    let size = tokenizer.vocabulary_size();
    if size > facts.vocab_size {
        say!(
            "warning: the tokenizer has {size} tokens, the model's embedding {} rows; a request beyond them is an error",
            facts.vocab_size
        );
    }
}

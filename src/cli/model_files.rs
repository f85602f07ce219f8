//! Which model and which tokenizer are meant.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::output::say;
use crate::builtin;
use crate::model::{Model, ModelConfig};
use crate::store::{FileHashes, ModelRecord, Stamp};
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
                let (path, own) = builtin::unpack("sample_model").map_err(|(scratch, error)| {
                    Failure::bad_input(
                        format!("{}: cannot be written: {error}", scratch.display()),
                        "the built-in sample model is unpacked there: name another folder with TMPDIR",
                    )
                })?;
                let scratch = path.parent().filter(|_| own).map(Path::to_path_buf);
                Ok(Self { path, sample: true, scratch })
            }
        }
    }

    /// A path as a record shows it: where the sample was unpacked says nothing about a run.
    fn shown(&self, path: &Path) -> String {
        match (self.sample, path.file_name()) {
            (true, Some(name)) => format!("built-in/{}", name.to_string_lossy()),
            _ => path.display().to_string(),
        }
    }

    /// The model as a run's record has it.
    pub fn record(
        &self,
        model: &Model,
        tokenizer: &Tokenizer,
        weights: Vec<(PathBuf, Fingerprint)>,
        end_of_text: &[u32],
    ) -> ModelRecord {
        let facts = model.facts();
        ModelRecord {
            name: facts.name.clone(),
            path: self.shown(&facts.path),
            architecture: facts.architecture.to_string(),
            parameters: facts.parameters,
            dtype: facts.dtype.to_string(),
            device: facts.device.clone(),
            kernels: facts.kernels,
            max_length: facts.max_length,
            weights: weights.into_iter().map(|(path, hash)| (self.shown(&path), hash)).collect(),
            config: Fingerprint::of(format!("{:?}", model.config()).as_bytes()),
            tokenizer: (self.shown(&tokenizer.path), tokenizer.fingerprint.clone()),
            end_of_text: end_of_text.to_vec(),
            sample: self.sample,
        }
    }

    /// The tokenizer beside the weights, or the one in a GGUF file's metadata.
    pub fn own_tokenizer(&self) -> Result<Tokenizer, Failure> {
        let folder = match self.path.is_dir() {
            true => self.path.as_path(),
            false => self.path.parent().unwrap_or(Path::new("")),
        };
        let beside = folder.join("tokenizer.json");
        if beside.exists() {
            return tokenizer_of(&beside);
        }
        if self.path.is_file() {
            return gguf_tokenizer_of(&self.path);
        }
        Err(Failure::bad_input(
            format!("{}: no tokenizer.json", self.path.display()),
            "give one with --tokenizer FILE, or put the model's own into its folder",
        ))
    }

    /// The tokenizer typed, or the model's own.
    pub fn tokenizer(&self, typed: Option<&Path>, config: &ModelConfig) -> Result<Tokenizer, Failure> {
        let mut tokenizer = typed.map_or_else(|| self.own_tokenizer(), tokenizer_of)?;
        if tokenizer.end_of_text.is_none() {
            tokenizer.end_of_text = config.eos_token_ids.first().copied();
        }
        warn_of_size(&tokenizer, config);
        Ok(tokenizer)
    }
}

/// The tokenizer in a `tokenizer.json`, or in a GGUF file's metadata.
pub fn tokenizer_of(path: &Path) -> Result<Tokenizer, Failure> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) {
        return gguf_tokenizer_of(path);
    }
    Ok(Tokenizer::from_file(path)?)
}

fn gguf_tokenizer_of(path: &Path) -> Result<Tokenizer, Failure> {
    let inner = gguf::gguf_tokenizer(path)?;
    let written = inner.to_string(false).unwrap_or_default();
    Ok(Tokenizer::new(inner, path.to_path_buf(), Fingerprint::of(written.as_bytes())))
}

/// The hashes of weight files, taken beside other work: reading them is the disk's job.
pub struct WeightHashes {
    files: Vec<PathBuf>,
    /// What they were like before anything was read.
    before: Vec<io::Result<Stamp>>,
    thread: JoinHandle<Result<Hashes, (PathBuf, io::Error)>>,
}

/// Of each file, and how long they took.
type Hashes = (Vec<(Stamp, Fingerprint)>, Duration);

impl WeightHashes {
    /// Begins. Hashes of files that did not change are kept below `cache`.
    pub fn begin(files: Vec<PathBuf>, cache: Option<&Path>) -> Self {
        let before = files.iter().map(|file| Stamp::of(file)).collect();
        let known = FileHashes::new(cache);
        let hashed = files.clone();
        let hash = move || {
            let clock = Instant::now();
            Ok((known.of(&hashed)?, clock.elapsed()))
        };
        Self { files, before, thread: std::thread::spawn(hash) }
    }

    /// The hashes, once the weights are loaded, and how long they took beside that and what was done since.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it was before it was loaded.
    pub fn finish(self) -> Result<(Vec<(PathBuf, Fingerprint)>, Duration), Failure> {
        let hint = "start again once nobody writes to the model's files";
        let unread = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::engine(format!("{}: cannot be hashed: {error}", path.display()), hint)
        };
        let (hashes, took) = match self.thread.join() {
            Ok(hashes) => hashes.map_err(|(path, error)| unread(&path, &error))?,
            Err(_) => return Err(Failure::engine("the weights cannot be hashed", hint)),
        };
        let mut found = Vec::with_capacity(hashes.len());
        for ((path, before), (stamp, hash)) in self.files.into_iter().zip(self.before).zip(hashes) {
            let same = |other: io::Result<Stamp>| other.is_ok_and(|other| other == stamp);
            if !same(before) || !same(Stamp::of(&path)) {
                let what = format!("{}: changed while it was loaded", path.display());
                return Err(Failure::engine(what, hint));
            }
            found.push((path, hash));
        }
        Ok((found, took))
    }
}

/// A larger tokenizer alone is no error: its last tokens may never be used.
fn warn_of_size(tokenizer: &Tokenizer, config: &ModelConfig) {
    let size = tokenizer.vocabulary_size();
    if size > config.vocab_size {
        say!(
            "warning: the tokenizer has {size} tokens, the model's embedding {} rows; a request beyond them is an error",
            config.vocab_size
        );
    }
}

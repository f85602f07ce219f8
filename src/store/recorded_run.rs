//! A run's folder, read back.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use super::begun_run::{BegunRun, write_again};
use super::chat_record::chat_options;
use super::run_json::seal_of;
use super::typed_command::TypedCommand;
use crate::disk;
use crate::prompt::{ChatOptions, PromptOptions};
use crate::task::ChatTemplateError;
use crate::vocabulary::{AddBosToken, Fingerprint, TaskLimits, shell_words};

/// A run cannot be read back.
#[derive(Debug, Error, Diagnostic)]
pub enum RecordedError {
    /// A folder of something else.
    #[error("{path}: not a run's folder: {what}")]
    #[diagnostic(code(assay::input), help("give a run's folder or name: `assay runs` lists them"))]
    NotARun { path: String, what: &'static str },
    /// A file of the run cannot be read.
    #[error("{path}: cannot be read: {source}")]
    #[diagnostic(
        code(assay::input),
        help(
            "give the folder of a run that ended: it has run.json, results.json and samples/; where a run was cut short, the command that began it goes on"
        )
    )]
    Unreadable { path: String, source: io::Error },
    /// The recorded chat template cannot be compiled.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Chat(#[from] ChatTemplateError),
    /// The run has a journal, and is not finished.
    #[error("{path}: the run is not finished: {how}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Unfinished {
        /// The folder.
        path: String,
        /// Why it counts as unfinished.
        how: String,
        /// The command that goes on.
        hint: String,
    },
    /// A file has another content than the run wrote.
    #[error("{path}: not as the run wrote it: {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Altered {
        path: String,
        /// What it does not agree with.
        what: &'static str,
        /// How to learn what differs, and to write it again.
        hint: String,
    },
    /// A file is not the expected JSON.
    #[error("{path}:{line}:{column}: damaged: {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Damaged {
        path: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The fault.
        what: String,
        /// How to write it again.
        hint: String,
    },
}

/// A run, read from its folder.
pub struct RecordedRun {
    /// The folder.
    pub path: PathBuf,
    /// The content of `run.json`.
    pub run: Map<String, Value>,
    limits: TaskLimits,
    chat: ChatOptions,
}

impl RecordedRun {
    /// Reads `run.json` of the run in `folder`.
    ///
    /// # Errors
    /// It is missing, with a journal beside it if the run was cut short, or damaged.
    pub fn open(folder: &Path) -> Result<Self, RecordedError> {
        #[derive(Deserialize)]
        struct Limited {
            #[serde(default)]
            limit: TaskLimits,
        }
        let path = folder.join("run.json");
        if !path.exists()
            && let Some(begun) = BegunRun::read(folder)
        {
            let hint = begun.hint();
            return Err(RecordedError::Unfinished {
                path: folder.display().to_string(),
                how: begun.how,
                hint,
            });
        }
        if !path.exists() && folder.is_dir() {
            return Err(RecordedError::NotARun {
                path: folder.display().to_string(),
                what: what_it_is(folder),
            });
        }
        let bytes = read(&path)?;
        let Limited { limit } = parsed(&path, &bytes)?;
        let run: Map<String, Value> = parsed(&path, &bytes)?;
        let chat = chat_options(run.get("chat").unwrap_or(&Value::Null))?;
        Ok(Self { path: folder.to_path_buf(), run, limits: limit, chat })
    }

    /// The hashes of the model's weight files, sorted; empty if they are not recorded.
    pub fn weight_hashes(&self) -> Vec<String> {
        let files = self.get(&["model", "weights"]).as_array().into_iter().flatten();
        let mut hashes: Vec<String> =
            files.filter_map(|file| file["blake3"].as_str().map(str::to_string)).collect();
        hashes.sort();
        hashes
    }

    /// Whether all its files are as the run wrote them: `run.json` by its seal, the others by the hashes in it.
    ///
    /// # Errors
    /// [`RecordedError::Altered`] for the first that is not, or [`RecordedError::Unreadable`].
    pub fn check_as_written(&self) -> Result<(), RecordedError> {
        let altered = |file: &str, what| RecordedError::Altered {
            path: self.path.join(file).display().to_string(),
            what,
            hint: format!(
                "`assay verify {}` says what differs; {}",
                shell_words(&[self.path.display().to_string()]),
                write_again(&self.path)
            ),
        };
        if self.text(&["seal"]) != Some(seal_of(&self.run).to_string().as_str()) {
            return Err(altered("run.json", "its seal is of another content"));
        }
        for (file, hash) in self.hashes(&["files"]) {
            if Fingerprint::of(&self.read(file)?).to_string() != hash {
                return Err(altered(file, "run.json has another hash of it"));
            }
        }
        Ok(())
    }

    /// Why it counts as unfinished; `None` if it is finished.
    pub fn unfinished(&self) -> Option<String> {
        if let Some(error) = self.text(&["failed"]) {
            return Some(format!("it failed: {error}"));
        }
        if self.get(&["interrupted"]) == true {
            return Some("it was interrupted".into());
        }
        for (name, record) in self.tasks() {
            let count = |key: &str| record[key].as_u64().unwrap_or(0);
            if count("documents") != count("asked") {
                let (found, asked) = (count("documents"), count("asked"));
                return Some(format!("{name} has {found} of {asked} documents"));
            }
        }
        self.tasks().next().is_none().then(|| "it has no task".to_string())
    }

    /// The command of its last session.
    pub fn command(&self) -> Option<TypedCommand> {
        TypedCommand::of(self.get(&["arguments"]), self.get(&["directory"]))
    }

    /// The value at a path of keys in `run.json`; null if there is none.
    pub fn get(&self, keys: &[&str]) -> &Value {
        let mut found = self.run.get(keys.first().copied().unwrap_or_default()).unwrap_or(&Value::Null);
        for key in keys.iter().skip(1) {
            found = &found[*key];
        }
        found
    }

    /// The string at a path of keys in `run.json`.
    pub fn text(&self, keys: &[&str]) -> Option<&str> {
        self.get(keys).as_str()
    }

    /// Whether its generations continued past their stops; runs from before that was possible do not record
    /// it.
    pub fn has_views(&self) -> bool {
        self.get(&["views"]) == true
    }

    /// What its command line changed in the prompts.
    pub fn prompt_options(&self) -> PromptOptions {
        PromptOptions {
            limits: self.limits.clone(),
            num_fewshot: self.get(&["num_fewshot"]).as_u64().map(|n| n as usize),
            add_bos_token: self.text(&["add_bos_token"]).and_then(AddBosToken::of_word),
            chat: self.chat.clone(),
        }
    }

    /// Tasks with their records.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &Value)> {
        let tasks = self.run.get("tasks").and_then(Value::as_object);
        tasks.into_iter().flatten().map(|(name, record)| (name.as_str(), record))
    }

    /// Paths with their recorded hashes, from the list at `keys`.
    pub fn hashes(&self, keys: &[&str]) -> Vec<(&str, &str)> {
        let list = self.get(keys).as_array().into_iter().flatten();
        list.filter_map(|file| Some((file["path"].as_str()?, file["blake3"].as_str()?))).collect()
    }

    /// The content of `results.json`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn results(&self) -> Result<Map<String, Value>, RecordedError> {
        object(&self.path.join("results.json"))
    }

    /// The bytes of a file of the run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, RecordedError> {
        read(&self.path.join(name))
    }

    /// The names of the files in `samples/`.
    pub fn sample_files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.join("samples")).into_iter().flatten().flatten();
        let names = entries.map(|entry| format!("samples/{}", entry.file_name().to_string_lossy()));
        // A `.part` file is left by an interrupted write, and is not a file of the run.
        let names: BTreeSet<String> = names.filter(|name| !name.ends_with(".part")).collect();
        names.into_iter().collect()
    }
}

/// What a folder without a `run.json` may be.
fn what_it_is(folder: &Path) -> &'static str {
    if folder.join("config.json").exists() {
        "it is a model's folder"
    } else {
        let mut inside = fs::read_dir(folder).into_iter().flatten().flatten();
        let has_runs = inside.any(|entry| entry.path().join("run.json").exists());
        if has_runs { "it is a folder of runs" } else { "there is no run.json in it" }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RecordedError> {
    disk::read(path, disk::RECORDS)
        .map_err(|source| RecordedError::Unreadable { path: path.display().to_string(), source })
}

fn object(path: &Path) -> Result<Map<String, Value>, RecordedError> {
    parsed(path, &read(path)?)
}

fn parsed<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, RecordedError> {
    serde_json::from_slice(bytes).map_err(|error| RecordedError::Damaged {
        path: path.display().to_string(),
        line: error.line().max(1),
        column: error.column().max(1),
        what: error.to_string().to_lowercase(),
        hint: path.parent().map(write_again).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_limit_is_none_of_the_whole_task() {
        let folder = tempfile::tempdir().unwrap();
        let open = |run: &str| {
            fs::write(folder.path().join("run.json"), run).unwrap();
            RecordedRun::open(folder.path()).map(|run| run.prompt_options().limits)
        };
        assert_eq!(open("{}").unwrap(), TaskLimits::Whole);
        assert_eq!(open("{\"limit\": null}").unwrap(), TaskLimits::Whole);
        assert_eq!(open("{\"limit\": 4}").unwrap(), TaskLimits::from(Some(4)));
        for damaged in ["\"4\"", "-4", "4.5", "[4]", "true", "{\"arc\": \"4\"}"] {
            let error = open(&format!("{{\n  \"limit\": {damaged}\n}}")).unwrap_err().to_string();
            assert!(error.contains("run.json:2:"), "{error}");
            assert!(
                error.contains("expected null, a number") || error.contains("expected a number"),
                "{error}"
            );
        }
    }
}

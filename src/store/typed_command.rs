//! The command that began a run, to type again.

use std::env;
use std::path::{Path, PathBuf, absolute};

use serde_json::{Map, Value, json};

use crate::vocabulary::shell_words;

/// A command as it was typed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedCommand {
    /// The program first.
    pub words: Vec<String>,
    /// The working folder; runs from before it was recorded have none.
    pub directory: Option<PathBuf>,
}

impl TypedCommand {
    /// The command typed in the working folder of this process.
    pub fn here(words: Vec<String>) -> Self {
        Self { words, directory: env::current_dir().ok() }
    }

    /// What [`Self::fields`] wrote into a record; `None` if it is not there.
    pub fn of(arguments: &Value, directory: &Value) -> Option<Self> {
        let words = arguments.as_array()?.iter().map(|word| word.as_str().map(str::to_string));
        let words = words.collect::<Option<Vec<String>>>().filter(|words| !words.is_empty())?;
        Some(Self { words, directory: directory.as_str().map(PathBuf::from) })
    }

    /// The fields of a record: `arguments` and `directory`.
    pub fn fields(&self) -> Map<String, Value> {
        let directory = self.directory.as_ref().map(|folder| folder.display().to_string());
        [("arguments".to_string(), json!(self.words)), ("directory".to_string(), json!(directory))]
            .into_iter()
            .collect()
    }

    /// As a line for a shell in the working folder of this process.
    pub fn again(&self) -> String {
        match self.elsewhere() {
            Some(folder) => {
                format!("cd {} && {}", shell_words(&[folder.display().to_string()]), shell_words(&self.words))
            }
            None => shell_words(&self.words),
        }
    }

    /// The same, for results in `folder` whatever the default would be.
    pub fn again_into(&self, folder: &Path) -> String {
        let mut typed = self.clone();
        // lm_eval's `--output_path` names the parent of new folders.
        if !typed.words.iter().any(|word| word == "--output" || word.starts_with("--output=")) {
            let folder = match self.elsewhere() {
                Some(_) => absolute(folder).unwrap_or_else(|_| folder.to_path_buf()),
                None => folder.to_path_buf(),
            };
            typed.words.extend(["--output".to_string(), folder.display().to_string()]);
        }
        typed.again()
    }

    /// The folder to go to first: paths of the command may be relative to it.
    fn elsewhere(&self) -> Option<&Path> {
        let folder = self.directory.as_deref()?;
        let here = env::current_dir().ok();
        (here.as_deref() != Some(folder) && folder.is_dir()).then_some(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_another_folder_goes_there_first() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("my models");
        std::fs::create_dir(&place).unwrap();
        let words = ["assay", "eval", "--model", "m"].map(str::to_string).to_vec();
        let typed = TypedCommand { words: words.clone(), directory: Some(place.clone()) };
        assert_eq!(typed.again(), format!("cd '{}' && assay eval --model m", place.display()));
        assert_eq!(
            typed.again_into(Path::new("/runs/one")),
            format!("cd '{}' && assay eval --model m --output /runs/one", place.display())
        );
        assert_eq!(TypedCommand::here(words.clone()).again(), "assay eval --model m");
        let here = TypedCommand::here(words);
        assert_eq!(here.again_into(Path::new("runs/one")), "assay eval --model m --output runs/one");
        let words = ["assay", "eval", "--output_path", "runs"].map(str::to_string).to_vec();
        let parent = TypedCommand::here(words).again_into(Path::new("runs/one"));
        assert_eq!(parent, "assay eval --output_path runs --output runs/one");
        let fields = typed.fields();
        assert_eq!(TypedCommand::of(&fields["arguments"], &fields["directory"]), Some(typed.clone()));
        // A folder that is no more cannot be gone to.
        std::fs::remove_dir(&place).unwrap();
        assert_eq!(typed.again(), "assay eval --model m");
    }
}

//! The settings of a run, as its record shows them.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use crate::prompt::PromptOptions;
use crate::store::{TypedCommand, rfc3339};
use crate::vocabulary::MergeRecipe;

/// The settings of a run.
#[derive(Debug)]
pub struct RunSetup {
    /// The run's name: the one that it was given, or its model's.
    pub name: String,
    /// The recipe in the model's folder, if it is a merge that has one.
    pub merge: Option<MergeRecipe>,
    pub command: TypedCommand,
    /// When this process started, to measure what it used.
    pub began: Instant,
    /// The same as calendar time.
    pub started: SystemTime,
    /// Number of compute threads.
    pub threads: usize,
    /// Options that change the prompts.
    pub prompts: PromptOptions,
    /// Whether generations continue past stops, for the tasks' other views of them.
    pub views: bool,
    /// Where the datasets are.
    pub datasets: Option<PathBuf>,
    /// Folders of the user's own task files.
    pub include: Vec<PathBuf>,
    /// The folder of the caches that runs share.
    pub cache: Option<PathBuf>,
    /// Size limit of the response cache, in bytes.
    pub cache_size: u64,
}

impl RunSetup {
    /// This session, with the name of its model, for readers of the journal.
    pub fn session_json(&self, model: &str) -> Value {
        let mut session = json!({"started": rfc3339(self.started), "model": model, "threads": self.threads});
        if let Some(fields) = session.as_object_mut() {
            fields.extend(self.command.fields());
        }
        session
    }
}

//! What a run was asked to do, as its record shows it.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use crate::prompt::PromptOptions;
use crate::store::rfc3339;

/// What a run was asked to do.
#[derive(Debug)]
pub struct RunSetup {
    /// As typed, the program first.
    pub command_line: Vec<String>,
    /// When this process began, for what it took.
    pub began: Instant,
    /// The same by the calendar.
    pub started: SystemTime,
    /// Threads that compute.
    pub threads: usize,
    /// What changes the prompts.
    pub prompts: PromptOptions,
    /// Whether texts go on past stops, for the tasks' other views of them.
    pub views: bool,
    /// Where the datasets are.
    pub datasets: Option<PathBuf>,
    /// Folders of the user's own task files.
    pub include: Vec<PathBuf>,
    /// The folder of what is cached across runs.
    pub cache: Option<PathBuf>,
    /// Bytes that the response cache may take.
    pub cache_size: u64,
}

impl RunSetup {
    /// This session, for people who read the journal.
    pub fn session_json(&self) -> Value {
        json!({"started": rfc3339(self.started), "arguments": self.command_line, "threads": self.threads})
    }
}

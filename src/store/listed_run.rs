//! The runs below a folder, whatever their state.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::begun_run::{BegunRun, go_on};
use super::journal::{JOURNAL, peek};
use super::recorded_run::{RecordedError, RecordedRun};

/// How a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    Finished,
    /// Another process is working on it.
    Running,
    /// Killed, interrupted or failed: why, and what goes on with it.
    Unfinished {
        /// Why it counts as unfinished.
        how: String,
        /// The command that goes on, as a hint.
        hint: String,
    },
    /// A file of it is damaged: the error, and what to do.
    Damaged {
        /// The file, the line and the column, and the fault.
        what: String,
        hint: String,
    },
}

impl RunState {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            RunState::Finished => "finished",
            RunState::Running => "running",
            RunState::Unfinished { .. } => "unfinished",
            RunState::Damaged { .. } => "damaged",
        }
    }

    /// What a reader should know or do; `None` for a finished run.
    pub fn advice(&self) -> Option<String> {
        match self {
            RunState::Finished => None,
            RunState::Running => Some("another process is working on it".into()),
            RunState::Unfinished { how, hint } => Some(format!("{how}; {hint}")),
            RunState::Damaged { what, hint } => Some(format!("{what}; {hint}")),
        }
    }
}

/// A run in a list. What is not known of a damaged or an unfinished one is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRun {
    /// Its folder.
    pub path: PathBuf,
    pub name: String,
    pub model: String,
    /// Its tasks, in their order.
    pub tasks: Vec<String>,
    /// The suite that its tasks are of.
    pub suite: Option<String>,
    /// `--limit`: null, a number, or numbers by task.
    pub limit: Value,
    /// When its last session began, as RFC 3339.
    pub started: String,
    /// What its results depend on; null if unknown. Runs of the same model, tasks and settings have the same.
    pub identity: Value,
    pub state: RunState,
}

impl ListedRun {
    /// The run in `folder`; `None` if it has neither `run.json` nor a journal.
    pub fn read(folder: &Path) -> Option<Self> {
        if !folder.join("run.json").exists() {
            let begun = BegunRun::read(folder)?;
            let state = match &begun.damage {
                Some(error) => RunState::Damaged { what: error.to_string(), hint: begun.hint() },
                None if begun.busy => RunState::Running,
                None => RunState::Unfinished { hint: begun.hint(), how: begun.how.clone() },
            };
            let mut listed = Self::new(folder, begun.identity, begun.started.unwrap_or_default(), state);
            if let Some(model) = begun.model {
                listed.model = model;
            }
            return Some(listed);
        }
        match RecordedRun::open(folder) {
            Ok(run) => {
                let state = match run.unfinished() {
                    None => RunState::Finished,
                    Some(how) => RunState::Unfinished { how, hint: go_on(run.command().as_ref()) },
                };
                let started = run.text(&["started"]).unwrap_or_default().to_string();
                let mut listed = Self::new(folder, run.get(&["identity"]).clone(), started, state);
                if let Some(model) = run.text(&["model", "name"]) {
                    listed.model = model.to_string();
                }
                if let Some(name) = run.text(&["name"]) {
                    listed.name = name.to_string();
                }
                Some(listed)
            }
            Err(error) => {
                let identity = peek(&folder.join(JOURNAL)).map(|(identity, _)| identity);
                Some(Self::new(folder, identity.unwrap_or_default(), String::new(), damaged(&error)))
            }
        }
    }

    /// The run, as damaged where it is finished and one of its files is missing, or not as it was written. Reads all of them.
    pub fn checked(mut self) -> Self {
        if self.state == RunState::Finished
            && let Err(error) = RecordedRun::open(&self.path).and_then(|run| run.check_as_written())
        {
            self.state = damaged(&error);
        }
        self
    }

    fn new(folder: &Path, identity: Value, started: String, state: RunState) -> Self {
        let text = |key: &str| identity[key].as_str().map(str::to_string);
        let tasks = identity["tasks"].as_array().into_iter().flatten();
        let name = text("name").unwrap_or_default();
        Self {
            path: folder.to_path_buf(),
            model: name.clone(),
            name,
            tasks: tasks.filter_map(|task| task["task"].as_str().map(str::to_string)).collect(),
            suite: text("suite"),
            limit: identity["limit"].clone(),
            started,
            identity,
            state,
        }
    }

    /// Whether it is a finished run of the same model, tasks and settings as another.
    pub fn repeats(&self, other: &Self) -> bool {
        !self.identity.is_null()
            && self.identity == other.identity
            && [self, other].iter().all(|run| run.state == RunState::Finished)
    }
}

fn damaged(error: &RecordedError) -> RunState {
    let hint = match error {
        RecordedError::Damaged { hint, .. } | RecordedError::Altered { hint, .. } => hint.clone(),
        _ => "check that it is there and may be read; the command that made the run writes it again".into(),
    };
    RunState::Damaged { what: error.to_string(), hint }
}

/// The folders below `parent`, at most two deep, that hold a run or its results, in the order of their names.
pub fn run_folders(parent: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    find(parent, 2, &mut found);
    found.sort();
    found
}

fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if ["run.json", "results.json", JOURNAL].iter().any(|file| folder.join(file).is_file()) {
        found.push(folder.to_path_buf());
    }
    if depth > 0 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            find(&path, depth - 1, found);
        }
    }
}

/// The runs below `parent`, at most two folders deep, the newest first.
pub fn listed_runs(parent: &Path) -> Vec<ListedRun> {
    let mut runs: Vec<ListedRun> =
        run_folders(parent).iter().filter_map(|folder| ListedRun::read(folder)).collect();
    runs.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| b.path.cmp(&a.path)));
    runs
}

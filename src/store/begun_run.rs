//! A run that has a journal and no record yet: how far it is, and the command that goes on with it.

use std::fs::{File, TryLockError};
use std::path::Path;

use serde_json::Value;

use super::journal::{History, JOURNAL};
use super::record_file::RecordError;
use super::typed_command::TypedCommand;

use crate::disk;

/// What the journal of a run says before `run.json` is written.
pub struct BegunRun {
    /// Why it counts as unfinished.
    pub how: String,
    /// The command that goes on; `None` if the process was killed before it had recorded it.
    pub command: Option<TypedCommand>,
    /// The model's name, if it is recorded.
    pub model: Option<String>,
    /// What its results depend on; null if it is not recorded.
    pub identity: Value,
    /// When its first session began.
    pub started: Option<String>,
    /// Whether another process is working on it.
    pub busy: bool,
    /// The fault of the journal, if it is damaged.
    pub damage: Option<RecordError>,
}

impl BegunRun {
    /// Reads the journal in `folder`; `None` if there is none.
    pub fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(JOURNAL);
        let busy = is_locked(&disk::open(&path).ok()?);
        let (history, damage) = match History::read(&path) {
            Ok(history) => (history, None),
            Err(error) => (History::default(), Some(error)),
        };
        let how = if busy {
            format!("another process is working on it, {} answers are kept", history.answers.len())
        } else {
            "it has a journal, and no run.json yet".to_string()
        };
        let facts = |session: Option<&super::journal::Session>| session.map(|session| session.facts.clone());
        let first = facts(history.sessions.first()).unwrap_or_default();
        Some(Self {
            how,
            command: facts(history.sessions.last()).and_then(|facts| command_of(&facts)),
            model: first["model"].as_str().map(str::to_string),
            identity: history.identity.unwrap_or_default(),
            started: first["started"].as_str().map(str::to_string),
            busy,
            damage,
        })
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.damage {
            Some(error) => format!("the journal cannot be read either ({error}): run it again"),
            None if self.busy => "wait until it is done".into(),
            None => go_on(self.command.as_ref()),
        }
    }
}

/// The hint that names the command that goes on with a run.
pub fn go_on(command: Option<&TypedCommand>) -> String {
    match command {
        Some(command) => format!("go on with: {}", command.again()),
        None => "the command that began it goes on where it stopped".into(),
    }
}

/// How the damaged file of the run in `folder` is written again: by the run's command, into the same folder.
pub fn write_again(folder: &Path) -> String {
    let history = History::read(&folder.join(JOURNAL)).ok();
    let last = history.as_ref().and_then(|history| history.sessions.last());
    match last.and_then(|session| command_of(&session.facts)) {
        Some(command) => {
            format!("write it again from the run's journal with: {}", command.again_into(folder))
        }
        None => {
            "the same `assay eval` command writes it again from the run's journal, where there is one".into()
        }
    }
}

fn command_of(facts: &Value) -> Option<TypedCommand> {
    TypedCommand::of(&facts["arguments"], &facts["directory"])
}

/// Whether another process holds the lock of a journal. The lock taken to find out is released at once.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

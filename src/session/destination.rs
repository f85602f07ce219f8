//! The folder of a run: a new one, or that of the same run if it was interrupted.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::error::SessionError;
use super::notice::{Notice, Notify};
use crate::store::{History, RunFolder, rfc3339};

/// The default parent of run folders.
pub const RESULTS: &str = "results";

/// Longest name of a new folder in bytes: file systems allow 255, and a number may follow.
const LONGEST_STEM: usize = 245;

/// A run's folder, before and after the run's identity is known.
pub struct Destination {
    open: Option<(RunFolder, History)>,
    /// The folder in which a new run's folder is made.
    parent: PathBuf,
    /// The name of a new folder.
    stem: String,
    /// Whether this process started a session in it.
    begun: bool,
}

impl Destination {
    /// Opens and locks the folder given by the user; without one, checks that `parent` is writable and can have a folder called
    /// after the run. So a run of hours does not fail to write at its end.
    pub fn find(
        typed: Option<&Path>,
        parent: &Path,
        name: &str,
        started: SystemTime,
    ) -> Result<Self, SessionError> {
        let time: String = rfc3339(started).chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
        let stem = format!("{name}-{time}");
        let open = match typed {
            Some(path) => Some(RunFolder::open(path)?),
            None if stem.len() > LONGEST_STEM => {
                let shown: String = name.chars().take(40).collect();
                return Err(SessionError::input(
                    format!(
                        "the run's folder would be called after the model: `{shown}...` has {} bytes, expected at most {}",
                        name.len(),
                        LONGEST_STEM - (stem.len() - name.len())
                    ),
                    "give the run a shorter name with --name, or a folder with --output",
                ));
            }
            None => {
                RunFolder::probe(parent)?;
                None
            }
        };
        Ok(Self { open, parent: parent.to_path_buf(), stem, begun: false })
    }

    /// The folder of the run `identity`, with its history: the folder given by the user, or that of the same
    /// unfinished run, or a new one. Starts a session there, unless the run is complete.
    pub fn settle(
        &mut self,
        identity: &Value,
        session: &Value,
        notify: Notify<'_>,
    ) -> Result<OpenedRun<'_>, SessionError> {
        if self.open.is_none() {
            let parent = self.parent.as_path();
            RunFolder::sweep(parent);
            let (found, busy) = RunFolder::unfinished(parent, identity);
            for path in busy {
                notify(Notice::FolderBusy(path));
            }
            self.open = Some(match found {
                Some(found) => found,
                None => (RunFolder::fresh(parent, &self.stem)?, History::default()),
            });
        }
        let Some((folder, history)) = &mut self.open else {
            return Err(SessionError::input("no folder for the run", "name one with --output"));
        };
        if folder.journal.dropped() > 0 {
            notify(Notice::RecordDropped(folder.journal.path().to_owned()));
        }
        folder.journal.check(history, identity)?;
        let complete = history.finished && folder.is_written();
        if !complete {
            folder.journal.begin(history, identity, session.clone())?;
            self.begun = true;
            if history.identity.is_some() {
                notify(Notice::Resumed(folder.path().to_owned()));
            }
        }
        Ok(OpenedRun { folder, history, complete })
    }

    /// What removes the folder again, if it was made for this run, while nothing is in it.
    pub fn remover(&self) -> impl FnOnce() + Send + 'static {
        let remover = self.open.as_ref().map(|(folder, _)| folder.remover());
        || {
            if let Some(remove) = remover {
                remove();
            }
        }
    }

    /// Releases the folder, and removes it if it was made for this run and has no answers. Returns its path
    /// if this process started a session there and it has answers.
    pub fn close(self) -> Option<PathBuf> {
        let (folder, _) = self.open?;
        let path = folder.path().to_path_buf();
        let kept = self.begun && folder.journal.has_answers;
        folder.close();
        kept.then_some(path)
    }
}

/// A run's folder, once the run's identity is known.
pub struct OpenedRun<'a> {
    pub folder: &'a mut RunFolder,
    /// What the journal held before this session.
    pub history: &'a History,
    /// Whether the run is finished and all its files are unchanged.
    pub complete: bool,
}

//! The folder that a run goes to: a new one, or that of the same run when it was cut short.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::error::SessionError;
use super::notice::{Notice, Notify};
use crate::model::name_of;
use crate::store::{History, RunFolder, rfc3339};

/// Where runs go that are not told where.
pub const RESULTS: &str = "results";

/// A run's folder, before and after it is known which run it is.
pub struct Destination {
    open: Option<(RunFolder, History)>,
    /// How a fresh folder is called.
    stem: String,
    /// Whether this process began a session in it.
    begun: bool,
}

impl Destination {
    /// The folder typed, opened and locked; or any below `results`, which must be writable. So a run of hours does not find out at
    /// its end that it cannot write.
    pub fn find(typed: Option<&Path>, model: &Path, started: SystemTime) -> Result<Self, SessionError> {
        let time: String = rfc3339(started).chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
        let stem = format!("{}-{time}", name_of(model));
        let open = match typed {
            Some(path) => Some(RunFolder::open(path)?),
            None => {
                RunFolder::probe(Path::new(RESULTS))?;
                None
            }
        };
        Ok(Self { open, stem, begun: false })
    }

    /// The folder of the run `identity`, with what is known of it: the folder typed, or that of the unfinished run, or a fresh one.
    /// A session begins there, unless all is done.
    pub fn settle(
        &mut self,
        identity: &Value,
        session: &Value,
        notify: Notify<'_>,
    ) -> Result<OpenedRun<'_>, SessionError> {
        if self.open.is_none() {
            let parent = Path::new(RESULTS);
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

    /// Lets the folder go. One that was made for nothing is removed; the path of one in which this process kept something.
    pub fn close(self) -> Option<PathBuf> {
        let (folder, _) = self.open?;
        let path = folder.path().to_path_buf();
        let kept = self.begun && folder.journal.has_answers;
        folder.close();
        kept.then_some(path)
    }
}

/// A run's folder, once it is known which run it is.
pub struct OpenedRun<'a> {
    /// The folder.
    pub folder: &'a mut RunFolder,
    /// What the journal held.
    pub history: &'a History,
    /// Whether the run is finished and all its files are what they were.
    pub complete: bool,
}

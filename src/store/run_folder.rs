//! A run's folder: `journal`, `results.json`, `samples/<task>.jsonl`, `run.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde_json::Value;
use thiserror::Error;

use super::journal::{History, JOURNAL, Journal, peek};
use super::listed_run::run_folders;
use super::record_file::RecordError;
use super::run_json::{RunRecord, results_json, run_json, seal_of};
use super::samples::{sample_line, samples_file};
use crate::disk;
use crate::vocabulary::Fingerprint;

/// A run's folder cannot be created or written.
#[derive(Debug, Error, Diagnostic)]
pub enum StoreError {
    /// The folder holds another run.
    #[error("{path}: the folder holds another run ({found})")]
    #[diagnostic(code(assay::input), help("name another folder with --output, or remove this one"))]
    Occupied {
        /// The folder.
        path: String,
        /// What was found there.
        found: String,
    },
    /// The folder holds the folders of other runs.
    #[error("{path}: the folder holds other runs, such as {found}")]
    #[diagnostic(
        code(assay::input),
        help(
            "name a folder for this run alone with --output, or say with --results where new runs get folders of their own"
        )
    )]
    AmongRuns {
        /// The folder.
        path: String,
        /// The folder of a run below it.
        found: String,
    },
    /// A name is longer than the file system allows.
    #[error("{path}: the name is too long for the file system")]
    #[diagnostic(code(assay::input), help("give a shorter name with --output or --name"))]
    LongName {
        /// The file or folder.
        path: String,
    },
    /// The run's journal cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Journal(#[from] RecordError),
    /// A system call failed.
    #[error("{path}: cannot be written: {source}")]
    #[diagnostic(
        code(assay::input),
        help("name a folder that you may write to with --output, and check that the disk is not full")
    )]
    Unwritable {
        /// The file or folder.
        path: String,
        source: io::Error,
    },
}

/// The folder of a run, to which no other process writes.
pub struct RunFolder {
    path: PathBuf,
    pub journal: Journal,
    /// Whether the journal was created by this process.
    begun: bool,
    /// Folders created for this run, innermost first; they are removed again if the run gets no answer.
    made: Vec<PathBuf>,
}

/// Files that only a run writes.
const FILES: [&str; 3] = ["results.json", "run.json", "samples"];

impl RunFolder {
    /// Opens a folder that is new, holds no run, or holds a run that may turn out to be this one. The journal
    /// is locked and read immediately, so that a run of hours does not find out at its end that it cannot
    /// write.
    ///
    /// # Errors
    /// The folder holds a run without a journal, its journal is damaged or written by another process, or a
    /// system call fails.
    pub fn open(path: &Path) -> Result<(Self, History), StoreError> {
        let made = missing(path);
        fs::create_dir_all(path).map_err(|source| unwritable(path, source))?;
        let journal = path.join(JOURNAL);
        let begun = !journal.exists();
        let found = FILES.iter().find(|file| path.join(file).exists());
        let occupied = |found: &&str| StoreError::Occupied {
            path: path.display().to_string(),
            found: found.to_string(),
        };
        if begun && let Some(found) = found {
            return Err(occupied(found));
        }
        if begun && let Some(inner) = run_folders(path).first() {
            return Err(StoreError::AmongRuns {
                path: path.display().to_string(),
                found: inner.display().to_string(),
            });
        }
        let (journal, history) = Journal::open(&journal)?;
        // Without a complete record, nothing shows that the results beside the journal are this run's and may
        // be replaced.
        if history.identity.is_none()
            && let Some(found) = found
        {
            return Err(occupied(found));
        }
        if begun {
            disk::sync_folder(path);
        }
        Ok((Self { path: path.to_path_buf(), journal, begun, made }, history))
    }

    /// A fresh folder below `parent` whose name begins with `stem`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn fresh(parent: &Path, stem: &str) -> Result<Self, StoreError> {
        let made = missing(parent);
        fs::create_dir_all(parent).map_err(|source| unwritable(parent, source))?;
        let mut path = parent.join(stem);
        for number in 2.. {
            // The process that creates the folder owns it, also if two runs begin in the same second.
            match fs::create_dir(&path) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    path = parent.join(format!("{stem}-{number}"));
                }
                Err(source) => return Err(unwritable(&path, source)),
            }
        }
        let (mut folder, _) = Self::open(&path)?;
        folder.made = [path].into_iter().chain(made).collect();
        Ok(folder)
    }

    /// The newest unfinished run of `identity` below `parent`, and the folders of those that other processes are writing.
    pub fn unfinished(parent: &Path, identity: &Value) -> (Option<(Self, History)>, Vec<PathBuf>) {
        let mut candidates: Vec<PathBuf> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| peek(&path.join(JOURNAL)) == Some((identity.clone(), false)))
            .collect();
        candidates.sort();
        let mut busy = Vec::new();
        for path in candidates.into_iter().rev() {
            match Self::open(&path) {
                Ok((folder, history)) if !history.finished => return (Some((folder, history)), busy),
                Err(StoreError::Journal(RecordError::Locked { .. })) => busy.push(path),
                // A damaged one is reported when the user names it; it must not prevent a new run.
                _ => {}
            }
        }
        (None, busy)
    }

    /// Removes folders below `parent` left by processes that were killed before they had recorded their run's
    /// identity.
    pub fn sweep(parent: &Path) {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let path = entry.path();
            // A folder that was just created may be about to be locked.
            let settled = || {
                let made = entry.metadata().and_then(|facts| facts.modified()).ok();
                made.and_then(|made| made.elapsed().ok()).is_some_and(|since| since.as_secs() > 60)
            };
            let alone = || fs::read_dir(&path).is_ok_and(|entries| entries.count() == 1);
            if settled() && path.join(JOURNAL).exists() && alone() && peek(&path.join(JOURNAL)).is_none() {
                // A process that is about to write it holds its lock; a damaged one is an error here, and
                // stays.
                if let Ok((mut folder, History { identity: None, .. })) = Self::open(&path) {
                    (folder.begun, folder.made) = (true, vec![path]);
                    folder.close();
                }
            }
        }
    }

    /// Checks that folders can be created below `parent`.
    ///
    /// # Errors
    /// They cannot.
    pub fn probe(parent: &Path) -> Result<(), StoreError> {
        let made = missing(parent);
        let probe = parent.join(format!(".assay-{}", std::process::id()));
        let probed = fs::create_dir_all(&probe).and_then(|()| fs::remove_dir(&probe));
        probed.map_err(|source| unwritable(parent, source))?;
        remove_empty(&made);
        Ok(())
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What removes the folder again, if it was created for this run, while its journal is empty.
    pub fn remover(&self) -> impl FnOnce() + Send + 'static {
        let (begun, journal, made) = (self.begun, self.path.join(JOURNAL), self.made.clone());
        move || {
            if begun && fs::symlink_metadata(&journal).is_ok_and(|facts| facts.is_file() && facts.len() == 0)
            {
                let _ = fs::remove_file(&journal);
                remove_empty(&made);
            }
        }
    }

    /// Removes what was created for this run, if it got no answer.
    pub fn close(self) {
        if self.begun && !self.journal.has_answers && self.journal.check_path().is_ok() {
            // What cannot be removed stays, which is harmless.
            let _ = fs::remove_file(self.path.join(JOURNAL));
            remove_empty(&self.made);
        }
    }

    /// Whether the run's files exist as `run.json` records them, and `run.json` matches its seal.
    pub fn is_written(&self) -> bool {
        let read = |name: &str| disk::read(self.path.join(name), disk::RECORDS).ok();
        let Some(run) = read("run.json").and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        else {
            return false;
        };
        let sealed = run.as_object().is_some_and(|fields| run["seal"] == seal_of(fields).to_string());
        let mut files = run["files"].as_array().into_iter().flatten();
        sealed
            && files.all(|file| {
                let bytes = file["path"].as_str().and_then(read);
                bytes.is_some_and(|bytes| file["blake3"] == Fingerprint::of(&bytes).to_string())
            })
    }

    /// Writes a run: `samples/<task>.jsonl` with one line per document, then `results.json`, then `run.json`,
    /// which lists the others with their hashes. Each file is written entirely or not at all. If one cannot
    /// be written, the others still are, except `run.json`, which vouches for all of them.
    ///
    /// # Errors
    /// The first file that cannot be written.
    pub fn write_run(&self, record: &mut RunRecord<'_>) -> Result<(), StoreError> {
        self.journal.check_path()?;
        // The one of an earlier session would not match the files of this one.
        match fs::remove_file(self.path.join("run.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unwritable(&self.path.join("run.json"), error));
            }
            _ => {}
        }
        let mut first = None;
        let mut write = |name: &Path, bytes: Vec<u8>| {
            if let Err(source) = self.write(name, &bytes) {
                first.get_or_insert(unwritable(&self.path.join(name), source));
            }
            (name.display().to_string(), Fingerprint::of(&bytes))
        };
        for task in record.tasks {
            let mut lines = String::new();
            for outcome in &task.outcomes {
                lines.push_str(&sample_line(outcome).to_string());
                lines.push('\n');
            }
            record.files.push(write(&samples_file(&task.task), lines.into_bytes()));
        }
        let results = write(Path::new("results.json"), pretty(&results_json(record)));
        record.files.push(results);
        match first {
            None => {
                let name = Path::new("run.json");
                let written = self.write(name, &pretty(&run_json(record)));
                written.map_err(|source| unwritable(&self.path.join(name), source))
            }
            Some(error) => Err(error),
        }
    }

    fn write(&self, name: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        // The run's own folder may be a link, as its user's other folders may; what is in it may not.
        if let Some(folder) = path.parent().filter(|folder| *folder != self.path) {
            disk::own_folder(folder)?;
        }
        disk::replace(&path, ".part", bytes)?;
        if let Some(folder) = path.parent() {
            disk::sync_folder(folder);
        }
        Ok(())
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn unwritable(path: &Path, source: io::Error) -> StoreError {
    let path = path.display().to_string();
    if source.kind() == io::ErrorKind::InvalidFilename {
        return StoreError::LongName { path };
    }
    StoreError::Unwritable { path, source }
}

/// Those of `path` and the folders above it that do not exist, innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().filter(|p| !p.as_os_str().is_empty()).take_while(|p| !p.exists());
    missing.map(Path::to_path_buf).collect()
}

/// Removes folders, innermost first, up to one that is not empty.
fn remove_empty(folders: &[PathBuf]) {
    for folder in folders {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

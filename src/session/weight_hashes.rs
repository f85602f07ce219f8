//! Hashes of weight files, computed in parallel with other work.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::SessionError;
use crate::store::{FileHashes, Stamp};
use crate::vocabulary::Fingerprint;

/// Hashes of weight files, computed in parallel with other work: reading the files mostly waits for the disk.
pub struct WeightHashes {
    files: Vec<PathBuf>,
    /// Their stamps before anything was read.
    before: Vec<io::Result<Stamp>>,
    thread: JoinHandle<Result<Hashes, (PathBuf, io::Error)>>,
}

/// The stamp and hash of each file, and how long hashing took.
type Hashes = (Vec<(Stamp, Fingerprint)>, Duration);

impl WeightHashes {
    /// Starts hashing. Hashes of unchanged files are cached below `cache`.
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

    /// The hashes, and how long hashing took in parallel with other work. To be called once the weights are
    /// loaded.
    ///
    /// # Errors
    /// A file cannot be read, or changed while it was loaded.
    pub fn finish(self) -> Result<(Vec<(PathBuf, Fingerprint)>, Duration), SessionError> {
        let (hashes, took) = match self.thread.join() {
            Ok(hashes) => hashes.map_err(|(path, error)| SessionError::Weights {
                what: format!("{}: cannot be hashed: {error}", path.display()),
            })?,
            Err(_) => return Err(SessionError::Weights { what: "the weights cannot be hashed".to_owned() }),
        };
        let mut found = Vec::with_capacity(hashes.len());
        for ((path, before), (stamp, hash)) in self.files.into_iter().zip(self.before).zip(hashes) {
            let same = |other: io::Result<Stamp>| other.is_ok_and(|other| other == stamp);
            if !same(before) || !same(Stamp::of(&path)) {
                let what = format!("{}: changed while it was loaded", path.display());
                return Err(SessionError::Weights { what });
            }
            found.push((path, hash));
        }
        Ok((found, took))
    }
}

//! Hashes of large files. A file is read again only if it changed.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::record_file::{line_of, read_loose};
use crate::disk;
use crate::vocabulary::Fingerprint;

/// Metadata that changes with a file's content: its change time (ctime) is set by the system and cannot be
/// set by a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file.
    ///
    /// # Errors
    /// The metadata cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&fs::metadata(path)?))
    }

    #[cfg(unix)]
    fn from(facts: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device: facts.dev(),
            inode: facts.ino(),
            bytes: facts.len(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn from(facts: &Metadata) -> Self {
        let since = |time: io::Result<SystemTime>| {
            let since = time.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            since.map_or((0, 0), |since| (since.as_secs() as i64, i64::from(since.subsec_nanos())))
        };
        let (modified, changed) = (since(facts.modified()), since(facts.created()));
        Self { device: 0, inode: 0, bytes: facts.len(), modified, changed }
    }

    /// Whether the last change is old enough that a later one would have a different time.
    fn is_settled(&self, now: SystemTime) -> bool {
        const SETTLED: Duration = Duration::from_secs(2);
        let Ok(seconds) = u64::try_from(self.changed.0) else { return false };
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        // A time in the future means that the clock was set back: nothing can be concluded from it.
        now.duration_since(changed).is_ok_and(|since| since >= SETTLED)
    }
}

#[derive(Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    blake3: Fingerprint,
}

/// Hashes by path, cached in a file.
pub struct FileHashes {
    /// `None` disables caching.
    file: Option<PathBuf>,
}

impl FileHashes {
    /// The hashes cached in the folder `cache`; without a folder, nothing is cached.
    pub fn new(cache: Option<&Path>) -> Self {
        Self { file: cache.map(|cache| cache.join("file-hashes")) }
    }

    /// Stamp and hash of each file's content. A file that did not change since it was hashed is not read again.
    ///
    /// # Errors
    /// The first file that cannot be read, or changes while it is read.
    pub fn of(&self, paths: &[PathBuf]) -> Result<Vec<(Stamp, Fingerprint)>, (PathBuf, io::Error)> {
        let known = self.read();
        let mut fresh = BTreeMap::new();
        let mut hashes = Vec::with_capacity(paths.len());
        for path in paths {
            let fault = |error| (path.clone(), error);
            let full = fs::canonicalize(path).map_err(fault)?;
            let before = Stamp::of(path).map_err(fault)?;
            let key = full.display().to_string();
            let hash = match known.get(&key).filter(|known| known.stamp == before) {
                Some(known) => known.blake3.clone(),
                None => {
                    let hash = hash_file(path).map_err(fault)?;
                    if Stamp::of(path).map_err(fault)? != before {
                        return Err(fault(io::Error::other("it changed while it was read")));
                    }
                    if before.is_settled(SystemTime::now()) {
                        fresh.insert(key, Known { stamp: before.clone(), blake3: hash.clone() });
                    }
                    hash
                }
            };
            hashes.push((before, hash));
        }
        if !fresh.is_empty() {
            self.write(fresh);
        }
        Ok(hashes)
    }

    /// The cached hashes. Lines that do not match their checksum are ignored.
    fn read(&self) -> BTreeMap<String, Known> {
        let bytes = self.file.as_ref().and_then(|file| disk::read(file, disk::TEXT).ok()).unwrap_or_default();
        let mut known = BTreeMap::new();
        read_loose(&bytes, &mut |_, json| {
            let (path, entry): (String, Known) = serde_json::from_str(json).map_err(|e| e.to_string())?;
            known.insert(path, entry);
            Ok(())
        });
        known
    }

    /// Best effort: if it fails, the files are read again the next time.
    fn write(&self, fresh: BTreeMap<String, Known>) {
        let Some(file) = &self.file else { return };
        let mut known = self.read();
        known.extend(fresh);
        known.retain(|path, _| Path::new(path).exists());
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let lines =
                known.iter().map(|entry| serde_json::to_string(&entry)).collect::<Result<Vec<_>, _>>()?;
            let partial = format!(".{}.part", std::process::id());
            disk::replace(file, &partial, &lines.iter().flat_map(|json| line_of(json)).collect::<Vec<u8>>())
        });
        // It is read again if this fails.
        let _ = written;
    }
}

/// Hashes a file's content in large blocks, on all threads.
fn hash_file(path: &Path) -> io::Result<Fingerprint> {
    const BLOCK: usize = 8 << 20;
    let mut file = disk::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; BLOCK];
    loop {
        let mut filled = 0;
        while filled < BLOCK {
            match file.read(&mut block[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        hasher.update_rayon(&block[..filled]);
        if filled < BLOCK {
            return Ok(hasher.finalize().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(hashes: &FileHashes, path: &Path) -> Fingerprint {
        hashes.of(&[path.to_path_buf()]).unwrap().remove(0).1
    }

    #[test]
    fn a_file_is_hashed_again_when_it_changed_whatever_its_times_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let hashes = FileHashes::new(Some(folder.path()));
        fs::write(&path, b"one").unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(hash(&hashes, &path), Fingerprint::of(b"one"));
        assert!(hashes.read().is_empty(), "a file of this very moment could still change unseen");
        // As if it had been written long ago.
        let stamp = Stamp::of(&path).unwrap();
        let key = fs::canonicalize(&path).unwrap().display().to_string();
        let marked = Fingerprint::of(b"remembered");
        hashes.write(BTreeMap::from([(key, Known { stamp, blake3: marked.clone() })]));
        assert_eq!(hash(&hashes, &path), marked);
        fs::write(&path, b"two").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_eq!(hash(&hashes, &path), Fingerprint::of(b"two"));
    }

    #[test]
    fn a_clock_that_was_set_back_settles_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, b"one").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        let now = SystemTime::now();
        assert!(stamp.is_settled(now + Duration::from_secs(10)));
        assert!(!stamp.is_settled(now - Duration::from_secs(10)));
        assert!(!stamp.is_settled(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn damaged_memory_is_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, vec![7; 20 << 20]).unwrap();
        fs::write(folder.path().join("file-hashes"), b"{\"x\": 1").unwrap();
        let hashes = FileHashes::new(Some(folder.path()));
        assert_eq!(hash(&hashes, &path), Fingerprint::of(&vec![7; 20 << 20]));
        assert!(hashes.of(&[folder.path().join("none")]).is_err());
    }
}

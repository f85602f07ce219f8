//! The files of the response cache: listing them, and bounding their total size.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::record_file::{Order, RecordError, read_records, system_error};
use super::response_cache::{Record, ResponseCache, folder_of};

use crate::disk;

/// One model's cache file, as `assay cache` lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct CachedModel {
    pub path: PathBuf,
    /// Size of the file.
    pub bytes: u64,
    /// When it was last read or written.
    pub used: SystemTime,
    /// The model's name when the file was created, and its identity; `None` if the first line is damaged.
    pub model: Option<(String, Value)>,
    /// Number of answers: lines after the first.
    pub answers: usize,
}

struct CachedFile {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// The files of `cache`, most recently used first.
fn cached_files(cache: &Path) -> Result<Vec<CachedFile>, RecordError> {
    let folder = folder_of(cache);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(system_error(&folder, "read", source)),
    };
    let mut files: Vec<CachedFile> = entries
        .flatten()
        .filter_map(|entry| {
            // Another process may remove it meanwhile.
            let facts = entry.metadata().ok()?;
            let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some(CachedFile { path: entry.path(), bytes: facts.len(), used })
        })
        .collect();
    files.sort_by(|a, b| (b.used, &a.path).cmp(&(a.used, &b.path)));
    Ok(files)
}

/// The models of `cache`, most recently used first.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn cached_models(cache: &Path) -> Result<Vec<CachedModel>, RecordError> {
    let mut models = Vec::new();
    for CachedFile { path, bytes, used } in cached_files(cache)? {
        let Ok(file) = disk::open(&path) else { continue };
        let mut file = BufReader::new(file);
        let mut first = Vec::new();
        let unread = |source| system_error(&path, "read", source);
        file.read_until(b'\n', &mut first).map_err(unread)?;
        let model = header_of(&first);
        let mut answers = 0;
        loop {
            let block = file.fill_buf().map_err(unread)?;
            let length = block.len();
            if length == 0 {
                break;
            }
            answers += block.iter().filter(|byte| **byte == b'\n').count();
            file.consume(length);
        }
        models.push(CachedModel { path, bytes, used, model, answers });
    }
    Ok(models)
}

/// Name and identity in a file's first line.
fn header_of(line: &[u8]) -> Option<(String, Value)> {
    let mut model = None;
    read_records(line, Order::Loose, &mut |_, json| {
        if let Ok(Record::Model { name, identity }) = serde_json::from_str(json) {
            model = Some((name, identity));
        }
        Ok(())
    })
    .ok()?;
    model
}

/// What [`prune`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub files: usize,
    /// Bytes of the removed files, and bytes cut from a file that was shortened.
    pub bytes: u64,
}

/// Goes from the most recently used file to the least, and removes each one that would bring the total over
/// `bound` bytes or was not used since `since`. If the most recently used file alone exceeds `bound`, it is
/// shortened to its newest answers that fit.
///
/// # Errors
/// A file cannot be removed.
pub fn prune(cache: &Path, bound: u64, since: Option<SystemTime>) -> Result<Pruned, RecordError> {
    let mut pruned = Pruned::default();
    let mut kept = 0u64;
    for (place, file) in cached_files(cache)?.into_iter().enumerate() {
        let CachedFile { path, bytes, used } = file;
        let old = since.is_some_and(|since| used < since);
        if !old && kept + bytes <= bound {
            kept += bytes;
            continue;
        }
        if place == 0
            && !old
            && let Some(cut) = cut_to(&path, bound)
        {
            (kept, pruned.bytes) = (bytes.saturating_sub(cut), pruned.bytes + cut);
            continue;
        }
        fs::remove_file(&path).map_err(|source| system_error(&path, "removed", source))?;
        pruned.files += 1;
        pruned.bytes += bytes;
    }
    Ok(pruned)
}

/// Shortens a model's file to its newest answers that fit, and returns the bytes cut; `None` if the first
/// line is damaged or does not fit, or the file cannot be rewritten.
fn cut_to(path: &Path, bound: u64) -> Option<u64> {
    let mut first = Vec::new();
    BufReader::new(disk::open(path).ok()?).read_until(b'\n', &mut first).ok()?;
    let (name, identity) = header_of(&first)?;
    if first.len() as u64 >= bound {
        return None;
    }
    ResponseCache::unread(path, name, identity).rewrite(bound).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::store::response_cache::tests::{key, open, scored};

    #[test]
    fn a_file_over_the_bound_keeps_its_newest_answers() {
        let folder = tempfile::tempdir().unwrap();
        let identity = json!({"weights": "a"});
        for token in 0..10 {
            open(folder.path(), &identity).add([(key(token), &scored(-1.0))]).unwrap();
        }
        let path = ResponseCache::path_of(folder.path(), &identity);
        let bytes = fs::metadata(&path).unwrap().len();
        let pruned = prune(folder.path(), bytes / 2, None).unwrap();
        let left = fs::metadata(&path).unwrap().len();
        assert!(pruned.files == 0 && left <= bytes / 2 && pruned.bytes == bytes - left, "{pruned:?}");
        let cache = open(folder.path(), &identity);
        let found: Vec<u32> = (0..10).filter(|token| cache.find(&key(*token)).is_some()).collect();
        assert!(!found.is_empty() && *found.first().unwrap() > 3 && *found.last().unwrap() == 9, "{found:?}");
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let identities: Vec<Value> = (0..4).map(|n| json!({"weights": n})).collect();
        let now = SystemTime::now();
        for (n, identity) in identities.iter().enumerate() {
            let mut cache = open(folder.path(), identity);
            cache.add([(key(1), &scored(-1.0))]).unwrap();
            let file =
                std::fs::File::options().append(true).open(ResponseCache::path_of(folder.path(), identity));
            // The last file's time is in the future, as if the clock had since been set back.
            let used = if n == 3 {
                now + Duration::from_secs(86400)
            } else {
                now - Duration::from_secs(60 * n as u64)
            };
            file.unwrap().set_modified(used).unwrap();
        }
        let models = cached_models(folder.path()).unwrap();
        let order: Vec<u64> =
            models.iter().map(|m| m.model.as_ref().unwrap().1["weights"].as_u64().unwrap()).collect();
        assert_eq!(order, [3, 0, 1, 2]);
        assert!(models.iter().all(|model| model.answers == 1));
        let bytes = models[0].bytes;
        assert_eq!(prune(folder.path(), 10 * bytes, None).unwrap(), Pruned::default());
        assert_eq!(prune(folder.path(), 3 * bytes, None).unwrap(), Pruned { files: 1, bytes });
        let since = now - Duration::from_secs(30);
        assert_eq!(prune(folder.path(), 10 * bytes, Some(since)).unwrap().files, 1);
        assert_eq!(cached_models(folder.path()).unwrap().len(), 2);
        assert_eq!(prune(folder.path(), 0, None).unwrap().files, 2);
    }
}

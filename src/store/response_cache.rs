//! Answers across runs: one file for each model as it computes.
//!
//! What an answer depends on is in two places. The file's identity covers what all its answers share: the content of the weights,
//! the configuration, number format, device, kernels, and the code that computes. A key covers the one request: its tokens, and for
//! a generated text all that ends it. The file's name is a hash of the identity, and its first record is the identity itself, which is
//! compared whole: no answer can reach another model.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record_file::{Order, RecordError, damaged, line_of, read_records, system_error};
use crate::tokenizer::TokenRequest;
use crate::vocabulary::{Fingerprint, Response};

/// Hash of all that an answer depends on beside the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of a request. `end` says what else ends a generated text: tokens, and how tokens become text.
    pub fn of(request: &TokenRequest, end: &Fingerprint) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut tokens = |tokens: &[u32]| {
            let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
            hasher.update(&(tokens.len() as u64).to_le_bytes()).update(&bytes);
        };
        tokens(request.context());
        tokens(request.continuation());
        if let TokenRequest::GenerateUntil { until, max_new_tokens, .. } = request {
            hasher.update(&(*max_new_tokens as u64).to_le_bytes());
            for text in until.iter() {
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            }
            hasher.update(end.to_string().as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }

    fn digits(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(digits: &str) -> Option<Self> {
        let mut key = [0; 16];
        if digits.len() != 32 || !digits.is_ascii() {
            return None;
        }
        for (place, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).ok()?;
        }
        Some(Self(key))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Model { name: String, identity: Value },
    Answer { key: String, response: Response },
}

/// The kept answers of one model.
#[derive(Debug)]
pub struct ResponseCache {
    path: PathBuf,
    name: String,
    identity: Value,
    answers: HashMap<Key, Response>,
}

/// The folder of the kept answers below that of all that is cached.
fn folder_of(cache: &Path) -> PathBuf {
    cache.join("responses")
}

impl ResponseCache {
    /// Reads what `cache`, a folder, holds for the model `identity`, which people call `name`.
    ///
    /// # Errors
    /// The file is damaged or cannot be read; [`set_aside`](Self::set_aside) makes room for a new one.
    pub fn open(cache: &Path, name: &str, identity: &Value) -> Result<Self, RecordError> {
        let mut opened = Self::empty(cache, name, identity);
        let bytes = match fs::read(&opened.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(opened),
            Err(source) => return Err(system_error(&opened.path, "read", source)),
        };
        let Self { path, answers, .. } = &mut opened;
        let mut take = |line: usize, json: &str| -> Result<(), String> {
            let record = serde_json::from_str(json).map_err(|e| format!("no kept answer: {e}"))?;
            match (line, record) {
                (1, Record::Model { identity: found, .. }) if found == *identity => Ok(()),
                (1, _) => Err("it is of another model".into()),
                (_, Record::Answer { key, response }) => {
                    let key = Key::read(&key).ok_or("a key that is none")?;
                    answers.insert(key, response);
                    Ok(())
                }
                (_, Record::Model { .. }) => Err("a second model".into()),
            }
        };
        read_records(&bytes, Order::Loose, &mut take).map_err(|(line, what)| damaged(path, line, what))?;
        // The time of the last use, by which old files go first; if it cannot be set the file only goes earlier.
        let _ = File::options().append(true).open(&*path).and_then(|f| f.set_modified(SystemTime::now()));
        Ok(opened)
    }

    fn empty(cache: &Path, name: &str, identity: &Value) -> Self {
        let path = Self::path_of(cache, identity);
        Self { path, name: name.to_string(), identity: identity.clone(), answers: HashMap::new() }
    }

    /// The file's first record.
    fn header(&self) -> Vec<u8> {
        line(&Record::Model { name: self.name.clone(), identity: self.identity.clone() })
    }

    fn path_of(cache: &Path, identity: &Value) -> PathBuf {
        let name = Fingerprint::of(identity.to_string().as_bytes()).to_string();
        folder_of(cache).join(format!("{}.answers", &name[..32]))
    }

    /// Moves a damaged file out of the way, and begins anew.
    pub fn set_aside(cache: &Path, name: &str, identity: &Value) -> Self {
        let empty = Self::empty(cache, name, identity);
        // If even that fails, what is added joins the damaged file, and the next who reads it is told.
        let _ = fs::rename(&empty.path, empty.path.with_extension("damaged"));
        empty
    }

    /// The answer to a request.
    pub fn find(&self, key: &Key) -> Option<&Response> {
        self.answers.get(key)
    }

    /// Adds answers. Other processes may add to the same file.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add<'a>(
        &mut self,
        answers: impl IntoIterator<Item = (Key, &'a Response)>,
    ) -> Result<(), RecordError> {
        let mut text = Vec::new();
        for (key, response) in answers {
            if let Entry::Vacant(free) = self.answers.entry(key) {
                free.insert(response.clone());
                text.extend(line(&Record::Answer { key: key.digits(), response: response.clone() }));
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        self.write(text).map_err(|source| system_error(&self.path, "written", source))
    }

    fn write(&self, text: Vec<u8>) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Opened each time: another process may have replaced the file by a smaller one.
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        file.lock()?;
        let length = file.seek(SeekFrom::End(0))?;
        let mut added = Vec::new();
        if length == 0 {
            added = self.header();
        } else {
            let whole = end_of_last_line(&mut file, length)?;
            if whole < length {
                // A process that was killed left a record cut short.
                file.set_len(whole)?;
                if whole == 0 {
                    added = self.header();
                }
            }
        }
        added.extend(text);
        // The lock goes with the file.
        file.write_all(&added)
    }
}

fn line(record: &Record) -> Vec<u8> {
    line_of(&serde_json::to_string(record).unwrap_or_default())
}

/// Where the last whole line ends.
fn end_of_last_line(file: &mut File, length: u64) -> std::io::Result<u64> {
    const STEP: u64 = 4096;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact(&mut bytes)?;
        if let Some(place) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A model's file, as a list of the cache shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CachedModel {
    /// The file.
    pub path: PathBuf,
    /// Bytes of it.
    pub bytes: u64,
    /// When it was last read or written.
    pub used: SystemTime,
    /// What people called the model when it was first kept, and the model as it computes; none where the file's beginning is
    /// damaged.
    pub model: Option<(String, Value)>,
    /// Answers: lines after the first.
    pub answers: usize,
}

/// The files of `cache`, the last used first.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn cached_models(cache: &Path) -> Result<Vec<CachedModel>, RecordError> {
    let folder = folder_of(cache);
    let mut models = Vec::new();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(models),
        Err(source) => return Err(system_error(&folder, "read", source)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // Another process may remove it meanwhile.
        let (Ok(facts), Ok(bytes)) = (entry.metadata(), fs::read(&path)) else { continue };
        let mut model = None;
        let first = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let _ = read_records(first, Order::Loose, &mut |_, json| {
            if let Ok(Record::Model { name, identity }) = serde_json::from_str(json) {
                model = Some((name, identity));
            }
            Ok(())
        });
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let answers = lines.saturating_sub(1);
        models.push(CachedModel { path, bytes: facts.len(), used, model, answers });
    }
    models.sort_by(|a, b| (b.used, &a.path).cmp(&(a.used, &b.path)));
    Ok(models)
}

/// What [`prune`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Files.
    pub files: usize,
    /// Bytes.
    pub bytes: u64,
}

/// Removes files, those first that were not used for longest, until at most `bound` bytes are left, and all that were not used
/// since `since`.
///
/// # Errors
/// A file cannot be removed.
pub fn prune(cache: &Path, bound: u64, since: Option<SystemTime>) -> Result<Pruned, RecordError> {
    let mut pruned = Pruned::default();
    let mut kept = 0u64;
    for model in cached_models(cache)? {
        let old = since.is_some_and(|since| model.used < since);
        if !old && kept + model.bytes <= bound {
            kept += model.bytes;
            continue;
        }
        fs::remove_file(&model.path).map_err(|source| system_error(&model.path, "removed", source))?;
        pruned.files += 1;
        pruned.bytes += model.bytes;
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;

    fn scored(loglikelihood: f64) -> Response {
        Response::Loglikelihood {
            loglikelihood,
            is_greedy: true,
            num_tokens: 1,
            rounding: 0.0,
            greedy_near_tie: false,
        }
    }

    fn key(token: u32) -> Key {
        let request = TokenRequest::Loglikelihood { context: Arc::from([1, 2]), continuation: vec![token] };
        Key::of(&request, &Fingerprint::of(b""))
    }

    #[test]
    fn answers_are_found_by_the_same_model_alone() {
        let cache = tempfile::tempdir().unwrap();
        let mut models = Vec::new();
        // All that a model is made of, each changed once.
        let facts = ["weights", "config", "dtype", "device", "kernels", "numerics"];
        for changed in [None].into_iter().chain(facts.map(Some)) {
            let value = |name: &str| if Some(name) == changed { "other" } else { "usual" };
            models.push(json!(facts.map(|name| (name, value(name)))));
        }
        for (n, identity) in models.iter().enumerate() {
            let mut cache = ResponseCache::open(cache.path(), "m", identity).unwrap();
            assert_eq!(cache.find(&key(7)), None, "{identity}");
            cache.add([(key(7), &scored(-(n as f64)))]).unwrap();
        }
        for (n, identity) in models.iter().enumerate() {
            let cache = ResponseCache::open(cache.path(), "m", identity).unwrap();
            assert_eq!(cache.find(&key(7)), Some(&scored(-(n as f64))));
            assert_eq!(cache.find(&key(8)), None);
        }
        // A file under another model's name is of no use to it.
        let path = |n: usize| ResponseCache::path_of(cache.path(), &models[n]);
        fs::copy(path(0), path(1)).unwrap();
        let error = ResponseCache::open(cache.path(), "m", &models[1]).unwrap_err();
        assert!(error.to_string().contains("another model"), "{error}");
    }

    #[test]
    fn keys_tell_apart_all_that_a_text_depends_on() {
        let text = |context: &[u32], until: &[&str], max_new_tokens: usize, end: &[u8]| {
            let until: Arc<[String]> = until.iter().map(|s| s.to_string()).collect();
            let context = Arc::from(context);
            Key::of(&TokenRequest::GenerateUntil { context, until, max_new_tokens }, &Fingerprint::of(end))
        };
        let score = |context: &[u32], continuation: &[u32]| {
            let (context, continuation) = (Arc::from(context), continuation.to_vec());
            Key::of(&TokenRequest::Loglikelihood { context, continuation }, &Fingerprint::of(b"a"))
        };
        let keys = [
            text(&[1, 2], &["a", "b"], 5, b"a"),
            text(&[1, 2], &["ab"], 5, b"a"),
            text(&[1, 2], &["a", "b"], 6, b"a"),
            text(&[1, 2], &["a", "b"], 5, b"b"),
            text(&[1], &["a", "b"], 5, b"a"),
            score(&[1, 2], &[]),
            score(&[1], &[2]),
            score(&[1, 2], &[3]),
            score(&[1], &[2, 3]),
        ];
        let distinct: std::collections::BTreeSet<Key> = keys.into_iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(keys[0], text(&[1, 2], &["a", "b"], 5, b"a"));
    }

    #[test]
    fn a_record_cut_short_is_written_over_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let identity = json!({"weights": "a"});
        let mut cache = ResponseCache::open(folder.path(), "m", &identity).unwrap();
        cache.add([(key(1), &scored(-1.0))]).unwrap();
        let path = ResponseCache::path_of(folder.path(), &identity);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut cache = ResponseCache::open(folder.path(), "m", &identity).unwrap();
            cache.add([(key(2), &scored(-2.0))]).unwrap();
            let cache = ResponseCache::open(folder.path(), "m", &identity).unwrap();
            assert_eq!(cache.find(&key(2)), Some(&scored(-2.0)), "cut at {cut}");
        }
        let mut other = whole.clone();
        other[whole.len() - 10] ^= 1;
        fs::write(&path, &other).unwrap();
        assert!(matches!(
            ResponseCache::open(folder.path(), "m", &identity),
            Err(RecordError::Damaged { line: 2, .. })
        ));
        let mut cache = ResponseCache::set_aside(folder.path(), "m", &identity);
        cache.add([(key(3), &scored(-3.0))]).unwrap();
        let cache = ResponseCache::open(folder.path(), "m", &identity).unwrap();
        assert_eq!((cache.find(&key(1)), cache.find(&key(3))), (None, Some(&scored(-3.0))));
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let identities: Vec<Value> = (0..4).map(|n| json!({"weights": n})).collect();
        let now = SystemTime::now();
        for (n, identity) in identities.iter().enumerate() {
            let mut cache = ResponseCache::open(folder.path(), "m", identity).unwrap();
            cache.add([(key(1), &scored(-1.0))]).unwrap();
            let file = File::options().append(true).open(ResponseCache::path_of(folder.path(), identity));
            // The last is of a day that the clock has since been set back from.
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

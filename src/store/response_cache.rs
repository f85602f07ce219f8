//! Answers cached across runs: one file per model identity.
//!
//! What an answer depends on is split in two. The file's identity covers what all its answers share: the
//! content of the weights, the configuration, number format, device, kernels, and the code that computes. A
//! key covers one request: its tokens, and for a generation everything that ends it. The file's name is a
//! hash of the identity, and its first record is the identity itself, which is compared in full: no answer
//! can be used for another model.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record_file::{CHECKSUM, Order, RecordError, damaged, is_at, line_of, read_records, system_error};
use crate::disk::{self, Access};
use crate::tokenizer::TokenRequest;
use crate::vocabulary::{Fingerprint, Response};

/// Hash of everything that an answer depends on besides the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of a request. `end` is a hash of what else ends a generation: end-of-text tokens, and the
    /// tokenizer that decodes it.
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
            // A generation that continues past its stops is another answer. Requests without such stops keep
            // the key that they always had.
            if let Some(beyond) = &until.beyond {
                hasher.update(b"beyond");
                for text in beyond.iter() {
                    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
                }
            }
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
pub(super) enum Record {
    Model { name: String, identity: Value },
    Answer { key: String, response: Response },
}

/// The cached answers of one model.
#[derive(Debug)]
pub struct ResponseCache {
    path: PathBuf,
    name: String,
    identity: Value,
    answers: HashMap<Key, Response>,
}

/// The folder of the answers below `cache`, the folder of everything cached.
pub(super) fn folder_of(cache: &Path) -> PathBuf {
    cache.join("responses")
}

impl ResponseCache {
    /// Reads the answers of the model `identity`, displayed as `name`, from the folder `cache`: those to
    /// `wanted` only, since a file may hold many times as many. Returns the lines that are damaged, with what
    /// is wrong with them. Records are independent, so the others are used, and the file is rewritten without
    /// the damaged ones.
    ///
    /// # Errors
    /// The file cannot be read, or belongs to another model.
    pub fn open(
        cache: &Path,
        name: &str,
        identity: &Value,
        wanted: &HashSet<Key>,
    ) -> Result<(Self, Vec<(usize, String)>), RecordError> {
        let mut opened = Self::empty(cache, name, identity);
        let mut faults = Vec::new();
        let mut file = match disk::open_own(&opened.path, Access::Append) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((opened, faults)),
            Err(source) => return Err(system_error(&opened.path, "read", source)),
        };
        let mut number = 0;
        loop {
            let mut line = Vec::new();
            let read = file.read_until(b'\n', &mut line);
            read.map_err(|source| system_error(&opened.path, "read", source))?;
            // A last line without a line feed is truncated; the next append overwrites it.
            if line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            if let Err(what) = opened.take(number, &line, wanted) {
                if number == 1 {
                    return Err(damaged(&opened.path, number, what));
                }
                faults.push((number, what));
            }
        }
        // The time of the last use: pruning removes the oldest files first. If it cannot be set, the file is
        // only removed earlier.
        let _ = file.get_ref().set_modified(SystemTime::now());
        if !faults.is_empty() {
            opened.rewrite(u64::MAX).map_err(|source| system_error(&opened.path, "written", source))?;
        }
        Ok((opened, faults))
    }

    /// Adds the answer of a line if it is wanted; checks the model in the first line.
    fn take(&mut self, number: usize, line: &[u8], wanted: &HashSet<Key>) -> Result<(), String> {
        // Most lines belong to other requests; their checksums are checked when those are wanted.
        if number > 1 && key_of_line(line).is_some_and(|key| !wanted.contains(&key)) {
            return Ok(());
        }
        let mut taken = |_: usize, json: &str| -> Result<(), String> {
            let record = serde_json::from_str(json).map_err(|e| format!("no kept answer: {e}"))?;
            match (number, record) {
                (1, Record::Model { identity, .. }) if identity == self.identity => Ok(()),
                (1, _) => Err("it is of another model".into()),
                (_, Record::Answer { key, response }) => {
                    let key = Key::read(&key).ok_or("a key that is none")?;
                    self.answers.insert(key, response);
                    Ok(())
                }
                (_, Record::Model { .. }) => Err("a second model".into()),
            }
        };
        read_records(line, Order::Loose, &mut taken).map(|_| ()).map_err(|(_, what)| what)
    }

    /// The file at `path`, without reading it.
    pub(super) fn unread(path: &Path, name: String, identity: Value) -> Self {
        Self { path: path.to_path_buf(), name, identity, answers: HashMap::new() }
    }

    fn empty(cache: &Path, name: &str, identity: &Value) -> Self {
        let path = Self::path_of(cache, identity);
        Self { path, name: name.to_string(), identity: identity.clone(), answers: HashMap::new() }
    }

    /// The file's first record.
    fn header(&self) -> Vec<u8> {
        line(&Record::Model { name: self.name.clone(), identity: self.identity.clone() })
    }

    pub(super) fn path_of(cache: &Path, identity: &Value) -> PathBuf {
        let name = Fingerprint::of(identity.to_string().as_bytes()).to_string();
        folder_of(cache).join(format!("{}.answers", &name[..32]))
    }

    /// Moves a damaged file out of the way, and starts with an empty cache.
    pub fn set_aside(cache: &Path, name: &str, identity: &Value) -> Self {
        let empty = Self::empty(cache, name, identity);
        // If the rename fails, answers are appended to the damaged file, and the damage is reported at the
        // next read.
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
    /// A system call fails.
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
        let mut file = self.lock()?;
        let length = file.seek(SeekFrom::End(0))?;
        let whole = end_of_last_line(&mut file, length)?;
        if whole < length {
            // A process that was killed left a truncated record.
            file.set_len(whole)?;
        }
        let mut added = if whole == 0 { self.header() } else { Vec::new() };
        added.extend(text);
        // The lock is released when the file is closed.
        file.write_all(&added)
    }

    /// Opens or creates the file, and locks it. Repeated if another process replaced the file by a smaller
    /// one meanwhile.
    fn lock(&self) -> std::io::Result<File> {
        loop {
            let file = disk::open_own(&self.path, Access::CreateToAppend)?;
            file.lock()?;
            if is_at(&file, &self.path) {
                return Ok(file);
            }
        }
    }

    /// Rewrites the file with the newest intact records that fit into `bound` bytes, and returns the bytes
    /// removed.
    pub(super) fn rewrite(&self, bound: u64) -> std::io::Result<u64> {
        let mut file = self.lock()?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        let header = self.header();
        let space = bound.saturating_sub(header.len() as u64);
        let mut kept = Vec::new();
        let mut size = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n').skip(1).collect::<Vec<_>>().into_iter().rev()
        {
            let is_whole = read_records(line, Order::Loose, &mut |_, _| Ok(())).is_ok_and(|w| w.records == 1);
            if !is_whole {
                continue;
            }
            size += line.len() as u64;
            if size > space {
                break;
            }
            kept.push(line);
        }
        let text: Vec<u8> = header.into_iter().chain(kept.into_iter().rev().flatten().copied()).collect();
        disk::replace(&self.path, &format!(".{}.part", std::process::id()), &text)?;
        Ok((bytes.len() as u64).saturating_sub(text.len() as u64))
    }
}

/// The key of a record's line, without parsing the record.
fn key_of_line(line: &[u8]) -> Option<Key> {
    let digits = line.get(CHECKSUM + 1..)?.strip_prefix(b"{\"answer\":{\"key\":\"")?.get(..32)?;
    Key::read(std::str::from_utf8(digits).ok()?)
}

fn line(record: &Record) -> Vec<u8> {
    line_of(&serde_json::to_string(record).unwrap_or_default())
}

/// The offset at which the last complete line ends.
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::vocabulary::Stops;
    use serde_json::json;
    use std::sync::Arc;

    pub fn scored(loglikelihood: f64) -> Response {
        Response::Loglikelihood {
            loglikelihood,
            is_greedy: true,
            num_tokens: 1,
            rounding: 0.0,
            greedy_near_tie: false,
        }
    }

    pub fn key(token: u32) -> Key {
        let request = TokenRequest::Loglikelihood { context: Arc::from([1, 2]), continuation: vec![token] };
        Key::of(&request, &Fingerprint::of(b""))
    }

    fn all() -> HashSet<Key> {
        (0..10).map(key).collect()
    }

    pub fn open(cache: &Path, identity: &Value) -> ResponseCache {
        let (opened, faults) = ResponseCache::open(cache, "m", identity, &all()).unwrap();
        assert_eq!(faults, []);
        opened
    }

    #[test]
    fn answers_are_found_by_the_same_model_alone() {
        let cache = tempfile::tempdir().unwrap();
        let mut models = Vec::new();
        // All parts of a model's identity, each changed once.
        let facts = ["weights", "config", "dtype", "device", "kernels", "numerics"];
        for changed in [None].into_iter().chain(facts.map(Some)) {
            let value = |name: &str| if Some(name) == changed { "other" } else { "usual" };
            models.push(json!(facts.map(|name| (name, value(name)))));
        }
        for (n, identity) in models.iter().enumerate() {
            let mut cache = open(cache.path(), identity);
            assert_eq!(cache.find(&key(7)), None, "{identity}");
            cache.add([(key(7), &scored(-(n as f64)))]).unwrap();
        }
        for (n, identity) in models.iter().enumerate() {
            let cache = open(cache.path(), identity);
            assert_eq!(cache.find(&key(7)), Some(&scored(-(n as f64))));
            assert_eq!(cache.find(&key(8)), None);
        }
        // A file under another model's file name is rejected.
        let path = |n: usize| ResponseCache::path_of(cache.path(), &models[n]);
        fs::copy(path(0), path(1)).unwrap();
        let error = ResponseCache::open(cache.path(), "m", &models[1], &all()).unwrap_err();
        assert!(error.to_string().contains("another model"), "{error}");
    }

    #[test]
    fn keys_tell_apart_all_that_a_text_depends_on() {
        let text = |context: &[u32], until: &[&str], max_new_tokens: usize, end: &[u8]| {
            // Stops after a bar are those of `beyond`.
            let mut halves = until.split(|stop| *stop == "|").map(|half| half.iter().map(|s| s.to_string()));
            let mut until = Stops::from(halves.next().into_iter().flatten().collect::<Vec<String>>());
            until.beyond = halves.next().map(|half| half.collect());
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
            text(&[1, 2], &["a", "b", "|"], 5, b"a"),
            text(&[1, 2], &["a", "b", "|", "b"], 5, b"a"),
            text(&[1, 2], &["a", "b", "|", "a"], 5, b"a"),
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
        let mut cache = open(folder.path(), &identity);
        cache.add([(key(1), &scored(-1.0))]).unwrap();
        let path = ResponseCache::path_of(folder.path(), &identity);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut cache = open(folder.path(), &identity);
            cache.add([(key(2), &scored(-2.0))]).unwrap();
            let cache = open(folder.path(), &identity);
            assert_eq!(cache.find(&key(2)), Some(&scored(-2.0)), "cut at {cut}");
        }
        // Records are independent: a damaged one does not affect the others, and is removed once it was
        // reported.
        fs::write(&path, &whole).unwrap();
        open(folder.path(), &identity).add([(key(2), &scored(-2.0))]).unwrap();
        let mut other = fs::read(&path).unwrap();
        other[whole.len() - 10] ^= 1;
        fs::write(&path, &other).unwrap();
        let (cache, faults) = ResponseCache::open(folder.path(), "m", &identity, &all()).unwrap();
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2]);
        assert_eq!((cache.find(&key(1)), cache.find(&key(2))), (None, Some(&scored(-2.0))));
        let cache = open(folder.path(), &identity);
        assert_eq!((cache.find(&key(1)), cache.find(&key(2))), (None, Some(&scored(-2.0))));
        // With a damaged first line, it is unknown which model the answers belong to.
        let mut other = fs::read(&path).unwrap();
        other[40] ^= 1;
        fs::write(&path, &other).unwrap();
        let error = ResponseCache::open(folder.path(), "m", &identity, &all()).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { line: 1, .. }));
        let mut cache = ResponseCache::set_aside(folder.path(), "m", &identity);
        cache.add([(key(3), &scored(-3.0))]).unwrap();
        let cache = open(folder.path(), &identity);
        assert_eq!((cache.find(&key(1)), cache.find(&key(3))), (None, Some(&scored(-3.0))));
    }
}

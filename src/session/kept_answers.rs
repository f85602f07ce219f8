//! Answers that are known before anything is computed: this run's own, and those of other runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::error::SessionError;
use super::notice::{Notice, Notify};
use crate::engine::{Answer, Sequence};
use crate::evaluate::AnsweredTask;
use crate::store::{
    Answers, History, JournalingLedger, Key, Keys, ModelRecord, RecordError, ResponseCache, model_identity,
    prune,
};
use crate::vocabulary::Fingerprint;

/// Default size limit of the response cache, in bytes.
pub const DEFAULT_CACHE_SIZE: u64 = 1 << 30;

/// The folder of the caches that runs share: `ASSAY_CACHE`, or `assay` below the user's cache folder; `None`
/// if the environment names neither.
pub fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("ASSAY_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("assay")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/assay")))
}

/// The response cache, if there is one, and the answers that it and the run's journal lack from each other.
pub struct KeptAnswers<'a> {
    folder: Option<&'a Path>,
    model: &'a ModelRecord,
    /// Hash of the end-of-text tokens and of the tokenizer.
    end: Fingerprint,
    /// To be passed to the run's [`JournalingLedger`].
    pub cache: Option<(ResponseCache, Keys)>,
    /// Answers of the run's own journal that the cache may lack.
    unshared: Vec<Answer>,
    /// Answers of the cache that the run's journal lacks.
    unkept: Vec<Answer>,
}

impl<'a> KeptAnswers<'a> {
    /// The cached answers below `folder` for a model; without a folder only the run's own answers are known. So it is for a model
    /// whose weights are unknown: another one may be served under its name tomorrow.
    pub fn new(folder: Option<&'a Path>, model: &'a ModelRecord) -> Self {
        let end = format!("{:?} {}", model.engine.end_of_text, model.tokenizer.1);
        let (cache, unshared, unkept) = Default::default();
        let folder = folder.filter(|_| model.engine.weights.is_some());
        Self { folder, model, end: Fingerprint::of(end.as_bytes()), cache, unshared, unkept }
    }

    /// Fills the tasks with the answers of `history` and of the cache, and counts them.
    pub fn recall(
        &mut self,
        tasks: &mut [AnsweredTask<'_>],
        history: &History,
        notify: Notify<'_>,
    ) -> Answers {
        let mut answers = Answers { from_cache: history.from_cache, ..Answers::default() };
        for task in tasks.iter_mut() {
            let name = task.fitted.task.name.to_string();
            answers.requests += task.fitted.request_count();
            task.recall(&mut |sequence| {
                let id = sequence.id;
                let response = history.answers.get(&(name.clone(), id.document, id.request))?.clone();
                self.unshared.push(Answer { id, response: response.clone() });
                Some(response)
            });
        }
        answers.kept_before = self.unshared.len();
        answers.computed = answers.kept_before.saturating_sub(history.from_cache);
        let Some(folder) = self.folder else { return answers };
        let fitted: Vec<_> = tasks.iter().map(|task| task.fitted).collect();
        let keys: Keys = fitted
            .par_iter()
            .map(|task| {
                let keys = |requests: &Vec<Sequence>| {
                    requests.iter().map(|sequence| Key::of(sequence.request(), &self.end)).collect()
                };
                task.sequences.iter().map(keys).collect()
            })
            .collect();
        // Includes the keys of answered requests: the cache must not store their answers twice.
        let wanted = keys.iter().flatten().flatten().copied();
        let Some(cache) = self.open(folder, &wanted.collect(), notify) else { return answers };
        for task in tasks {
            task.recall(&mut |sequence| {
                let id = sequence.id;
                let response = cache.find(&keys[id.task][id.document][id.request])?.clone();
                self.unkept.push(Answer { id, response: response.clone() });
                Some(response)
            });
        }
        answers.from_cache += self.unkept.len();
        self.cache = Some((cache, keys));
        answers
    }

    /// Opens the cache for the keys `wanted`. Damage is reported, and the intact answers are used.
    fn open(&self, folder: &Path, wanted: &HashSet<Key>, notify: Notify<'_>) -> Option<ResponseCache> {
        let (name, identity) = (&self.model.engine.name, model_identity(self.model));
        match ResponseCache::open(folder, name, &identity, wanted) {
            Ok((cache, faults)) => {
                if let Some((line, what)) = faults.first() {
                    notify(Notice::CacheDamaged { count: faults.len(), line: *line, what: what.to_string() });
                }
                Some(cache)
            }
            Err(error @ RecordError::Damaged { .. }) => {
                notify(Notice::CacheSetAside(error));
                Some(ResponseCache::set_aside(folder, name, &identity))
            }
            Err(error) => {
                notify(Notice::CacheUnusable(error));
                None
            }
        }
    }

    /// Copies the run's own earlier answers to the cache, since the session that computed them may have been
    /// killed before it did so; and those of the cache to the run's journal, since the cache may be gone when
    /// the run is resumed.
    pub fn exchange(&mut self, ledger: &mut JournalingLedger<'_>) -> Result<(), SessionError> {
        ledger.share(&std::mem::take(&mut self.unshared));
        Ok(ledger.adopt(&std::mem::take(&mut self.unkept))?)
    }

    /// Reports an error of the cache, and prunes it to `bound` bytes.
    pub fn close(self, fault: Option<RecordError>, bound: u64, notify: Notify<'_>) {
        if let Some(error) = fault {
            notify(Notice::CacheIncomplete(error));
        }
        let Some(folder) = self.folder else { return };
        match prune(folder, bound, None) {
            Ok(pruned) if pruned.bytes > 0 => notify(Notice::CachePruned { bytes: pruned.bytes }),
            Ok(_) => {}
            Err(error) => notify(Notice::CacheUnbounded(error)),
        }
    }
}

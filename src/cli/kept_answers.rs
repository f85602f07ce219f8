//! Answers that are known before a model is asked: this run's own, and those of other runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use rayon::prelude::*;

use super::failure::Failure;
use super::output::say;
use crate::evaluate::{Answered, Prepared, RequestPlace};
use crate::store::{
    Answers, History, Keeper, Key, Keys, ModelRecord, RecordError, ResponseCache, model_identity, prune,
};
use crate::vocabulary::Fingerprint;

/// Bytes that the response cache may take where nobody says otherwise.
pub const USUAL_CACHE_SIZE: u64 = 1 << 30;

/// The folder of what is kept across runs: `ASSAY_CACHE`, or `assay` below the user's folder of caches; none where there is no
/// such folder.
pub fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("ASSAY_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("assay")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/assay")))
}

/// The response cache, if there is one, and what the run's own answers lack in it.
pub struct KeptAnswers<'a> {
    folder: Option<&'a Path>,
    model: &'a ModelRecord,
    /// What ends a generated text, and how its tokens become text.
    end: Fingerprint,
    /// To be handed to the run's [`Keeper`].
    pub cache: Option<(ResponseCache, Keys)>,
    /// Answers of the run's own journal that the cache may not have.
    unshared: Vec<Answered>,
    /// Answers of the cache that the run's journal does not have.
    unkept: Vec<Answered>,
}

impl<'a> KeptAnswers<'a> {
    /// The answers below `folder` for a model; without a folder only the run's own are known.
    pub fn new(folder: Option<&'a Path>, model: &'a ModelRecord) -> Self {
        let end = format!("{:?} {}", model.end_of_text, model.tokenizer.1);
        let (cache, unshared, unkept) = Default::default();
        Self { folder, model, end: Fingerprint::of(end.as_bytes()), cache, unshared, unkept }
    }

    /// Gives the prepared tasks the answers of `history` and those of the cache, and counts them.
    pub fn recall(&mut self, prepared: &mut [Prepared], history: &History) -> Answers {
        let mut answers = Answers { from_cache: history.from_cache, ..Answers::default() };
        for (place, task) in prepared.iter_mut().enumerate() {
            let name = task.task.name.to_string();
            answers.requests += task.flat().count();
            task.recall(&mut |document, request| {
                let response = history.answers.get(&(name.clone(), document, request))?.clone();
                let place = RequestPlace { task: place, document, request };
                self.unshared.push(Answered { place, response: response.clone() });
                Some(response)
            });
        }
        answers.kept_before = self.unshared.len();
        answers.computed = answers.kept_before.saturating_sub(history.from_cache);
        let Some(folder) = self.folder else { return answers };
        let keys: Keys = prepared
            .par_iter()
            .map(|task| {
                let keys = |requests: &Vec<_>| requests.iter().map(|r| Key::of(r, &self.end)).collect();
                task.tokens.iter().map(keys).collect()
            })
            .collect();
        // Those of requests that are answered too: the cache must not get them twice.
        let wanted = keys.iter().flatten().flatten().copied();
        let Some(cache) = self.open(folder, &wanted.collect()) else { return answers };
        for (place, (task, keys)) in prepared.iter_mut().zip(&keys).enumerate() {
            task.recall(&mut |document, request| {
                let response = cache.find(&keys[document][request])?.clone();
                let place = RequestPlace { task: place, document, request };
                self.unkept.push(Answered { place, response: response.clone() });
                Some(response)
            });
        }
        answers.from_cache += self.unkept.len();
        self.cache = Some((cache, keys));
        answers
    }

    /// The cache's answers to `wanted`; damage is told, and what it leaves is used.
    fn open(&self, folder: &Path, wanted: &HashSet<Key>) -> Option<ResponseCache> {
        let (name, identity) = (&self.model.name, model_identity(self.model));
        match ResponseCache::open(folder, name, &identity, wanted) {
            Ok((cache, faults)) => {
                if let Some((line, what)) = faults.first() {
                    let count = faults.len();
                    say!(
                        "warning: {count} damaged answers in the response cache are dropped, the first in line {line}: {what}"
                    );
                }
                Some(cache)
            }
            Err(error @ RecordError::Damaged { .. }) => {
                say!("warning: the response cache is put aside and begun anew: {error}");
                Some(ResponseCache::set_aside(folder, name, &identity))
            }
            Err(error) => {
                say!("warning: going on without the response cache: {error}");
                None
            }
        }
    }

    /// Gives the cache the run's own earlier answers, since the session that computed them may have been killed before it did;
    /// and the run's journal those of the cache, since that may be gone when the run goes on.
    pub fn exchange(&mut self, keeper: &mut Keeper<'_>) -> Result<(), Failure> {
        keeper.share(&std::mem::take(&mut self.unshared));
        Ok(keeper.adopt(&std::mem::take(&mut self.unkept))?)
    }

    /// Says what went wrong with the cache, and keeps it within its bound.
    pub fn close(self, fault: Option<RecordError>, bound: Option<u64>) {
        if let Some(error) = fault {
            say!("warning: not all answers are in the response cache: {error}");
        }
        let Some(folder) = self.folder else { return };
        match prune(folder, bound.unwrap_or(USUAL_CACHE_SIZE), None) {
            Ok(pruned) if pruned.bytes > 0 => {
                say!(
                    "note: {} of old answers left the response cache (--cache-size)",
                    HumanBytes(pruned.bytes)
                );
            }
            Ok(_) => {}
            Err(error) => say!("warning: the response cache is not kept within its bound: {error}"),
        }
    }
}

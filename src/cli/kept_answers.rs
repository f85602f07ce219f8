//! Answers that are known before a model is asked: this run's own, and those of other runs.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::failure::Failure;
use super::output::say;
use crate::evaluate::{Answered, Prepared, RequestPlace};
use crate::store::{
    Answers, History, Keeper, Key, Keys, ModelRecord, RecordError, ResponseCache, model_identity, prune,
};
use crate::tokenizer::Tokenizer;
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
pub struct KeptAnswers {
    folder: Option<PathBuf>,
    /// What ends a generated text, and how its tokens become text.
    end: Fingerprint,
    /// To be handed to the run's [`Keeper`].
    pub cache: Option<(ResponseCache, Keys)>,
    opened: Option<ResponseCache>,
    /// Answers of the run's own journal that the cache may not have.
    unshared: Vec<Answered>,
    /// Answers of the cache that the run's journal does not have.
    unkept: Vec<Answered>,
}

impl KeptAnswers {
    /// The cache for a model; without one, or where it cannot be read, only the run's own answers are known. A damaged file is
    /// told, and put aside.
    pub fn open(
        folder: Option<&Path>,
        model: &ModelRecord,
        tokenizer: &Tokenizer,
        end_of_text: &[u32],
    ) -> Self {
        let end = format!("{end_of_text:?} {}", tokenizer.fingerprint);
        let identity = model_identity(model);
        let opened = folder.and_then(|folder| match ResponseCache::open(folder, &model.name, &identity) {
            Ok(cache) => Some(cache),
            Err(error @ RecordError::Damaged { .. }) => {
                say!("warning: the response cache is put aside and begun anew: {error}");
                Some(ResponseCache::set_aside(folder, &model.name, &identity))
            }
            Err(error) => {
                say!("warning: going on without the response cache: {error}");
                None
            }
        });
        let folder = folder.map(Path::to_path_buf);
        Self {
            folder,
            end: Fingerprint::of(end.as_bytes()),
            cache: None,
            opened,
            unshared: Vec::new(),
            unkept: Vec::new(),
        }
    }

    /// Gives the prepared tasks the answers of `history` and those of the cache, and counts them.
    pub fn recall(&mut self, prepared: &mut [Prepared], history: &History) -> Answers {
        let mut answers = Answers::default();
        for (place, task) in prepared.iter_mut().enumerate() {
            let name = task.task.name.to_string();
            answers.requests += task.flat().count();
            let before = task.open().count();
            task.recall(&mut |document, request| {
                let response = history.answers.get(&(name.clone(), document, request))?.clone();
                let place = RequestPlace { task: place, document, request };
                self.unshared.push(Answered { place, response: response.clone() });
                Some(response)
            });
            answers.from_journal += before - task.open().count();
        }
        let Some(cache) = self.opened.take() else { return answers };
        let keys: Keys = prepared
            .par_iter()
            .map(|task| {
                let keys = |requests: &Vec<_>| requests.iter().map(|r| Key::of(r, &self.end)).collect();
                task.tokens.iter().map(keys).collect()
            })
            .collect();
        for (place, (task, keys)) in prepared.iter_mut().zip(&keys).enumerate() {
            task.recall(&mut |document, request| {
                let response = cache.find(&keys[document][request])?.clone();
                let place = RequestPlace { task: place, document, request };
                self.unkept.push(Answered { place, response: response.clone() });
                Some(response)
            });
        }
        answers.from_cache = self.unkept.len();
        self.cache = Some((cache, keys));
        answers
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
        if let Some(folder) = &self.folder
            && let Err(error) = prune(folder, bound.unwrap_or(USUAL_CACHE_SIZE), None)
        {
            say!("warning: the response cache is not kept within its bound: {error}");
        }
    }
}

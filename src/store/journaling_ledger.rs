//! Writes answers to disk: first to the journal, then to the response cache.

use std::sync::Arc;

use super::journal::{Journal, RequestKey, SessionWork};
use super::record_file::RecordError;
use super::response_cache::{Key, ResponseCache};
use crate::engine::{Answer, Work};
use crate::evaluate::{Ledger, NotStored};
use crate::vocabulary::{RequestId, Response};

/// Cache keys of all requests of a run, by task, document and request.
pub type Keys = Vec<Vec<Vec<Key>>>;

/// Records a run's answers.
pub struct JournalingLedger<'a> {
    pub journal: &'a mut Journal,
    /// The response cache, and its keys of this run's requests.
    pub cache: Option<(ResponseCache, Keys)>,
    /// The names of the tasks.
    pub tasks: Vec<Arc<str>>,
    /// Time and memory that the process used so far, without its counts of work.
    pub usage: &'a dyn Fn() -> SessionWork,
    /// The session's cost up to the last recorded answer.
    pub work: SessionWork,
    /// Why the cache is no longer written; this does not end the run.
    pub cache_fault: Option<RecordError>,
}

impl JournalingLedger<'_> {
    /// The journal's key of a request.
    fn request_key(&self, id: RequestId) -> RequestKey {
        (self.tasks[id.task].to_string(), id.document, id.request)
    }

    /// The session's cost so far.
    pub fn session(&self, work: &Work) -> SessionWork {
        SessionWork {
            requests_computed: self.work.requests_computed,
            tokens_computed: work.tokens_computed,
            tokens_generated: work.tokens_generated,
            tokens_drafted: work.tokens_drafted,
            tokens_accepted: work.tokens_accepted,
            passes: work.passes,
            ..(self.usage)()
        }
    }

    /// Records answers of other runs in the journal.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn adopt(&mut self, answers: &[Answer]) -> Result<(), RecordError> {
        if answers.is_empty() {
            return Ok(());
        }
        let work = self.session(&Work::default());
        self.journal.keep(self.named(answers), true, work)
    }

    fn named(&self, answers: &[Answer]) -> Vec<(RequestKey, Response)> {
        answers.iter().map(|answer| (self.request_key(answer.id), answer.response.clone())).collect()
    }

    /// Adds answers to the response cache, for other runs.
    pub fn share(&mut self, answers: &[Answer]) {
        let Some((cache, keys)) = &mut self.cache else { return };
        let keyed = |answer: &'_ Answer| {
            let RequestId { task, document, request } = answer.id;
            keys[task][document][request]
        };
        let answers: Vec<(Key, &Response)> = answers.iter().map(|a| (keyed(a), &a.response)).collect();
        if let Err(error) = cache.add(answers) {
            self.cache_fault = Some(error);
            self.cache = None;
        }
    }
}

impl Ledger for JournalingLedger<'_> {
    fn keep(&mut self, answers: &[Answer], work: &Work) -> Result<(), NotStored> {
        let mut session = self.session(work);
        session.requests_computed += answers.len();
        let kept = self.journal.keep(self.named(answers), false, session.clone());
        kept.map_err(|error| NotStored::because(&error))?;
        self.work = session;
        self.share(answers);
        Ok(())
    }
}

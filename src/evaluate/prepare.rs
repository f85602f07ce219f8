//! From task files to tokens.

use miette::Diagnostic;
use rayon::prelude::*;
use thiserror::Error;

use crate::dataset::DatasetStore;
use crate::engine::{EngineError, sequences};
use crate::metric::{MetricError, Scorer};
use crate::prompt::{self, PromptError, PromptOptions, TaskRequests};
use crate::task::Task;
use crate::tokenizer::{TokenRequest, Tokenizer, TokenizerError, encode_requests};
use crate::vocabulary::{Response, SplitRecord, Truncation};

/// A task cannot be made ready.
#[derive(Debug, Error, Diagnostic)]
pub enum PrepareError {
    /// Its metrics.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metric(#[from] MetricError),
    /// Its prompts.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Prompt(#[from] PromptError),
    /// Its tokens.
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Tokenizer {
        /// The task.
        task: String,
        /// The fault.
        source: TokenizerError,
        /// What to do.
        hint: String,
    },
    /// A request that the model cannot be fed.
    #[error("task `{task}`, document {doc_id} (row {row}): {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Request {
        /// The task.
        task: String,
        /// The document.
        doc_id: usize,
        /// Its row.
        row: usize,
        /// The fault.
        what: String,
        /// What to do.
        hint: String,
    },
}

/// A task with everything that a model is asked.
pub struct Prepared {
    /// The task.
    pub task: Task,
    /// Its metrics.
    pub scorer: Scorer,
    /// Its requests.
    pub requests: TaskRequests,
    /// Their tokens, by document.
    pub tokens: Vec<Vec<TokenRequest>>,
    /// Answers that are known already, by document and request.
    pub known: Vec<Vec<Option<Response>>>,
    /// Requests that the model's context cuts; known once they were fitted to one.
    pub truncated: Vec<Truncation>,
}

/// Builds and encodes one task.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare(
    task: Task,
    store: &DatasetStore,
    options: &PromptOptions,
    tokenizer: &Tokenizer,
) -> Result<Prepared, PrepareError> {
    let scorer = Scorer::for_task(&task)?;
    let requests = prompt::build(&task, store, options)?;
    let tokens =
        encode_requests(tokenizer, &requests.documents).map_err(|source| PrepareError::Tokenizer {
            task: task.name.to_string(),
            hint: source.help().map(|h| h.to_string()).unwrap_or_default(),
            source,
        })?;
    Ok(Prepared::new(task, scorer, requests, tokens))
}

/// Tasks that are prepared at once. One that waits for its own documents lets its thread begin another, so it is also how
/// deep they stand on a thread's stack.
const AT_ONCE: usize = 16;

/// What a model can be fed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Positions.
    pub max_length: usize,
    /// Tokens that it has embeddings of.
    pub vocab_size: usize,
    /// Tokens whose keys and values are kept at once, at most.
    pub room: usize,
    /// Bytes that those of one take.
    pub kv_bytes_per_token: u64,
}

/// Builds and encodes all tasks, several at once; `None` where `stop` said so.
///
/// # Errors
/// That of the first task that has one.
pub fn prepare_all(
    tasks: Vec<Task>,
    store: &DatasetStore,
    options: &PromptOptions,
    tokenizer: &Tokenizer,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Vec<Prepared>>, PrepareError> {
    let mut all = Vec::with_capacity(tasks.len());
    let mut tasks = tasks.into_iter();
    loop {
        if stop() {
            return Ok(None);
        }
        let some: Vec<Task> = tasks.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return Ok(Some(all));
        }
        let prepared: Vec<Result<Prepared, PrepareError>> = some
            .into_par_iter()
            .with_max_len(1)
            .map(|task| prepare(task, store, options, tokenizer))
            .collect();
        for task in prepared {
            all.push(task?);
        }
    }
}

/// Fits all tasks to what a model can be fed.
///
/// # Errors
/// As [`Prepared::fit`], of the first task that has one.
pub fn fit_all(prepared: &mut [Prepared], limits: Limits) -> Result<(), PrepareError> {
    let fitted: Vec<Result<(), PrepareError>> =
        prepared.par_iter_mut().map(|task| task.fit(limits)).collect();
    fitted.into_iter().collect()
}

impl Prepared {
    /// A task of which nothing is known yet.
    pub fn new(task: Task, scorer: Scorer, requests: TaskRequests, tokens: Vec<Vec<TokenRequest>>) -> Self {
        let known = tokens.iter().map(|requests| vec![None; requests.len()]).collect();
        Self { task, scorer, requests, tokens, known, truncated: Vec::new() }
    }

    /// The splits that it was made of.
    pub fn splits(&self) -> Vec<SplitRecord> {
        self.requests.splits.iter().map(|(name, split)| split.record(name)).collect()
    }

    /// All requests, document by document.
    pub fn flat(&self) -> impl Iterator<Item = &TokenRequest> {
        self.tokens.iter().flatten()
    }

    /// Takes the answers that `find` knows, by document and request.
    pub fn recall(&mut self, find: &mut dyn FnMut(usize, usize) -> Option<Response>) {
        for (document, requests) in self.known.iter_mut().enumerate() {
            for (request, known) in requests.iter_mut().enumerate().filter(|(_, known)| known.is_none()) {
                *known = find(document, request);
            }
        }
    }

    /// Document and place of the requests that are not answered yet.
    pub fn open(&self) -> impl Iterator<Item = (usize, usize)> {
        let known = self.known.iter().enumerate();
        known.flat_map(|(document, requests)| {
            let open = requests.iter().enumerate().filter(|(_, known)| known.is_none());
            open.map(move |(place, _)| (document, place))
        })
    }

    /// The tokens of those.
    pub fn open_tokens(&self) -> impl Iterator<Item = &TokenRequest> {
        self.open().map(|(document, place)| &self.tokens[document][place])
    }

    /// Checks the requests against what a model can be fed, and counts those that are cut.
    ///
    /// # Errors
    /// A request with a token that the model does not have, that leaves no room for its context, or whose keys and values are
    /// more than may be kept.
    pub fn fit(&mut self, limits: Limits) -> Result<(), PrepareError> {
        let Limits { max_length, vocab_size, room, kv_bytes_per_token } = limits;
        for (index, request) in self.flat().enumerate() {
            let mut tokens = request.context().iter().chain(request.continuation());
            if let Some(token) = tokens.find(|token| **token as usize >= vocab_size) {
                return Err(self.fault(
                    index,
                    format!("token id {token} is beyond the model's embedding of {vocab_size} rows"),
                    "the tokenizer is not this model's: give the model's own with --tokenizer",
                ));
            }
        }
        let sequences = sequences(self.flat(), max_length).map_err(|error| self.engine_fault(&error))?;
        let needed = sequences.iter().zip(self.flat()).map(|(s, request)| s.len() + request.max_new_tokens());
        if let Some((index, needed)) = needed.enumerate().max_by_key(|(_, needed)| *needed)
            && needed > room
        {
            let mebibytes = (needed as u64 * kv_bytes_per_token).div_ceil(1 << 20);
            return Err(self.fault(
                index,
                format!("{needed} tokens are kept at once, there is room for the keys and values of {room}"),
                &format!("give at least {mebibytes}MiB with --kv-memory, or fewer shots"),
            ));
        }
        let cut = sequences.iter().map(|sequence| sequence.cut).enumerate().filter(|(_, cut)| *cut > 0);
        let cut: Vec<(usize, usize)> = cut.collect();
        let truncation = |(index, cut_tokens): (usize, usize)| {
            let (document, request) = self.locate(index);
            let document = &self.requests.documents[document];
            Truncation { doc_id: document.doc_id, row: document.row, request, cut_tokens }
        };
        self.truncated = cut.into_iter().map(truncation).collect();
        Ok(())
    }

    /// The document of a request's index in [`flat`](Self::flat), and the request's place in it.
    fn locate(&self, request: usize) -> (usize, usize) {
        let mut before = 0;
        for (document, tokens) in self.tokens.iter().enumerate() {
            if request < before + tokens.len() {
                return (document, request - before);
            }
            before += tokens.len();
        }
        (self.tokens.len().saturating_sub(1), 0)
    }

    fn fault(&self, request: usize, what: String, hint: &str) -> PrepareError {
        let (document, place) = self.locate(request);
        let document = &self.requests.documents[document];
        PrepareError::Request {
            task: self.task.name.to_string(),
            doc_id: document.doc_id,
            row: document.row,
            what: format!("request {place}: {what}"),
            hint: hint.to_string(),
        }
    }

    /// An error of the engine about a request, in the words of the task.
    fn engine_fault(&self, error: &EngineError) -> PrepareError {
        let hint = error.help().map(|h| h.to_string()).unwrap_or_default();
        self.fault(error.request().unwrap_or(0), error.to_string(), &hint)
    }
}

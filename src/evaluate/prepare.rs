//! From task files to tokens.

use miette::Diagnostic;
use thiserror::Error;

use crate::dataset::DatasetStore;
use crate::engine::{EngineError, TokenTree, sequences};
use crate::metric::{MetricError, Scorer};
use crate::prompt::{self, PromptError, PromptOptions, TaskRequests};
use crate::task::Task;
use crate::tokenizer::{TokenRequest, Tokenizer, TokenizerError, encode_requests};

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
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Documents.
    pub documents: usize,
    /// Requests.
    pub requests: usize,
    /// Tokens if every request were computed alone.
    pub tokens_alone: usize,
    /// Distinct prefixes, in tokens: what is computed.
    pub tokens_planned: usize,
    /// Tokens that generations may write, at most.
    pub tokens_to_write: usize,
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
    Ok(Prepared { task, scorer, requests, tokens })
}

impl Prepared {
    /// All requests, document by document.
    pub fn flat(&self) -> Vec<TokenRequest> {
        self.tokens.iter().flatten().cloned().collect()
    }

    /// Counts what there is to do for a model of `max_length` positions and `vocab_size` tokens.
    ///
    /// # Errors
    /// A request with a token that the model does not have, or that leaves no room for its context.
    pub fn totals(&self, max_length: usize, vocab_size: usize) -> Result<Totals, PrepareError> {
        let flat = self.flat();
        for (index, request) in flat.iter().enumerate() {
            let mut tokens = request.context().iter().chain(request.continuation());
            if let Some(token) = tokens.find(|token| **token as usize >= vocab_size) {
                return Err(self.fault(
                    index,
                    format!("token id {token} is beyond the model's embedding of {vocab_size} rows"),
                    "the tokenizer is not this model's: give the model's own with --tokenizer",
                ));
            }
        }
        let sequences = sequences(&flat, max_length).map_err(|error| self.engine_fault(&error))?;
        Ok(Totals {
            documents: self.tokens.len(),
            requests: flat.len(),
            tokens_alone: sequences.iter().map(|s| s.len()).sum(),
            tokens_planned: TokenTree::new(&sequences).tokens(),
            tokens_to_write: flat
                .iter()
                .map(|request| match request {
                    TokenRequest::GenerateUntil { max_new_tokens, .. } => *max_new_tokens,
                    TokenRequest::Loglikelihood { .. } => 0,
                })
                .sum(),
        })
    }

    /// The document of a request's index in [`flat`](Self::flat), and the request's place in it.
    pub fn locate(&self, request: usize) -> (usize, usize) {
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
    pub fn engine_fault(&self, error: &EngineError) -> PrepareError {
        let hint = error.help().map(|h| h.to_string()).unwrap_or_default();
        self.fault(error.request().unwrap_or(0), error.to_string(), &hint)
    }
}

/// The sum over tasks.
pub fn totals<'a>(all: impl Iterator<Item = &'a Totals>) -> Totals {
    all.fold(Totals::default(), |sum, one| Totals {
        documents: sum.documents + one.documents,
        requests: sum.requests + one.requests,
        tokens_alone: sum.tokens_alone + one.tokens_alone,
        tokens_planned: sum.tokens_planned + one.tokens_planned,
        tokens_to_write: sum.tokens_to_write + one.tokens_to_write,
    })
}

//! Tasks fitted to a model: each request is truncated to a sequence once.

use miette::Diagnostic;
use rayon::prelude::*;

use super::built::BuiltTask;
use super::error::PrepareError;
use crate::engine::{EngineError, RequestLimits, Sequence};
use crate::metric::Scorer;
use crate::prompt::TaskRequests;
use crate::task::Task;
use crate::vocabulary::{RequestId, SplitRecord, TextBeginRecord, Truncation};

/// A task with the sequences that a model is fed for its requests.
pub struct FittedTask {
    pub task: Task,
    pub scorer: Scorer,
    pub requests: TaskRequests,
    /// What the model is fed for each request, by document.
    pub sequences: Vec<Vec<Sequence>>,
    /// Requests truncated to the model's context.
    pub truncated: Vec<Truncation>,
    /// What its texts begin with.
    pub text_begin: TextBeginRecord,
}

impl FittedTask {
    /// Fits a task's requests to a model's limits; `task` is its index among the run's tasks.
    ///
    /// # Errors
    /// A request with a token beyond the model's embedding, with nothing left of its context, or whose keys
    /// and values exceed the kv budget.
    pub fn fit(task: usize, built: BuiltTask, limits: RequestLimits) -> Result<Self, PrepareError> {
        let BuiltTask { task: declared, scorer, requests, tokens, text_begin } = built;
        let fault = |id: RequestId, what: String, hint: &str| {
            let document = &requests.documents[id.document];
            PrepareError::Request {
                task: declared.name.to_string(),
                doc_id: document.doc_id,
                row: document.row,
                what: format!("request {}: {what}", id.request),
                hint: hint.to_string(),
            }
        };
        let known = |&token: &u32| (token as usize) < limits.vocab_size;
        for (document, tokens) in tokens.iter().enumerate() {
            for (request, tokens) in tokens.iter().enumerate() {
                let mut tokens = tokens.context().iter().chain(tokens.continuation());
                if let Some(token) = tokens.find(|token| !known(token)) {
                    let rows = limits.vocab_size;
                    return Err(fault(
                        RequestId { task, document, request },
                        format!("token id {token} is beyond the model's embedding of {rows} rows"),
                        "the tokenizer is not this model's: give the model's own with --tokenizer",
                    ));
                }
            }
        }
        let mut sequences = Vec::with_capacity(tokens.len());
        for (document, tokens) in tokens.into_iter().enumerate() {
            let sequence = |(request, tokens)| {
                let id = RequestId { task, document, request };
                Sequence::new(id, tokens, limits.max_length)
            };
            let fitted: Result<Vec<Sequence>, EngineError> =
                tokens.into_iter().enumerate().map(sequence).collect();
            sequences.push(fitted.map_err(|error| {
                let hint = error.help().map(|help| help.to_string()).unwrap_or_default();
                let first = RequestId { task, document, request: 0 };
                fault(error.request().unwrap_or(first), error.to_string(), &hint)
            })?);
        }
        if let Some((id, needed)) = longest(&sequences)
            && needed > limits.kv_budget
        {
            let mebibytes = (needed as u64 * limits.kv_bytes_per_token).div_ceil(1 << 20);
            let budget = limits.kv_budget;
            return Err(fault(
                id,
                format!(
                    "{needed} tokens are kept at once, there is room for the keys and values of {budget}"
                ),
                &format!("give at least {mebibytes}MiB with --kv-memory, or fewer shots"),
            ));
        }
        let truncation = |sequence: &Sequence| {
            let document = &requests.documents[sequence.id.document];
            let (request, cut_tokens) = (sequence.id.request, sequence.cut);
            Truncation { doc_id: document.doc_id, row: document.row, request, cut_tokens }
        };
        let truncated = sequences.iter().flatten().filter(|s| s.cut > 0).map(truncation).collect();
        Ok(Self { task: declared, scorer, requests, sequences, truncated, text_begin })
    }

    /// The splits from which its rows were read.
    pub fn splits(&self) -> Vec<SplitRecord> {
        self.requests.splits.iter().map(|(name, split)| split.record(name)).collect()
    }

    /// Whether any of its requests is a generation.
    pub fn generates(&self) -> bool {
        self.sequences.iter().flatten().any(|sequence| sequence.request().max_new_tokens() > 0)
    }

    /// Tokens that its longest request keeps at once, with those that it may write.
    pub fn longest(&self) -> usize {
        longest(&self.sequences).map_or(0, |(_, tokens)| tokens)
    }

    /// Number of requests.
    pub fn request_count(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }
}

/// The request that keeps the most tokens at once, and how many.
fn longest(sequences: &[Vec<Sequence>]) -> Option<(RequestId, usize)> {
    let needed = sequences.iter().flatten().map(|s| (s.id, s.len() + s.request().max_new_tokens()));
    needed.max_by_key(|(_, needed)| *needed)
}

/// Fits all tasks to a model's limits.
///
/// # Errors
/// As [`FittedTask::fit`], of the first task that fails.
pub fn fit_all(built: Vec<BuiltTask>, limits: RequestLimits) -> Result<Vec<FittedTask>, PrepareError> {
    let fitted: Vec<Result<FittedTask, PrepareError>> =
        built.into_par_iter().enumerate().map(|(task, built)| FittedTask::fit(task, built, limits)).collect();
    fitted.into_iter().collect()
}

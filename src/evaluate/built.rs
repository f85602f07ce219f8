//! From task files to tokens, without a model.

use miette::Diagnostic;
use rayon::prelude::*;

use super::error::PrepareError;
use crate::dataset::DatasetStore;
use crate::metric::Scorer;
use crate::prompt::{self, PromptOptions, TaskRequests};
use crate::python::text::rstrip;
use crate::task::Task;
use crate::tokenizer::{Marks, TokenRequest, Tokenizer, TokenizerError, encode_requests};
use crate::vocabulary::{SplitRecord, TextBegin, TextBeginRecord};

/// A task with all its requests, in tokens.
pub struct BuiltTask {
    pub task: Task,
    pub scorer: Scorer,
    pub requests: TaskRequests,
    /// The requests in tokens, by document.
    pub tokens: Vec<Vec<TokenRequest>>,
    /// What its texts begin with.
    pub text_begin: TextBeginRecord,
}

impl BuiltTask {
    /// Builds and encodes one task.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn build(
        task: Task,
        store: &DatasetStore,
        options: &PromptOptions,
        tokenizer: &Tokenizer,
    ) -> Result<Self, PrepareError> {
        let scorer = Scorer::for_task(&task)?;
        let requests = prompt::build(&task, store, options)?;
        let fault = |source: TokenizerError| PrepareError::Tokenizer {
            task: task.name.to_string(),
            hint: source.help().map(|h| h.to_string()).unwrap_or_default(),
            source,
        };
        let declared = task.text_begin;
        let add_bos_token = options.add_bos_token.unwrap_or(declared.add_bos_token);
        let marks = Marks::new(tokenizer, TextBegin { add_bos_token, ..declared }).map_err(fault)?;
        let tokens = encode_requests(tokenizer, &marks, &requests.documents).map_err(fault)?;
        let mut texts = requests.documents.iter().flat_map(|document| &document.requests);
        let text_begin = TextBeginRecord {
            add_bos_token: marks.add_before(),
            overridden: add_bos_token != declared.add_bos_token,
            empty_context: texts
                .any(|text| rstrip(text.context()).is_empty())
                .then_some(declared.empty_context),
        };
        Ok(Self { task, scorer, requests, tokens, text_begin })
    }

    /// The splits from which its rows were read.
    pub fn splits(&self) -> Vec<SplitRecord> {
        self.requests.splits.iter().map(|(name, split)| split.record(name)).collect()
    }
}

/// Number of tasks built at once. A thread that waits for the documents of one task begins another, so this
/// also bounds how deep tasks nest on a thread's stack.
const AT_ONCE: usize = 16;

/// Builds and encodes all tasks, several at once; only the first of them once `is_vain` returns true.
///
/// # Errors
/// That of the first task that fails.
pub fn build_all(
    tasks: Vec<Task>,
    store: &DatasetStore,
    options: &PromptOptions,
    tokenizer: &Tokenizer,
    is_vain: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<BuiltTask>, PrepareError> {
    let mut all = Vec::with_capacity(tasks.len());
    let mut tasks = tasks.into_iter();
    loop {
        let some: Vec<Task> = tasks.by_ref().take(AT_ONCE).collect();
        if some.is_empty() || is_vain() {
            return Ok(all);
        }
        let built: Vec<Result<BuiltTask, PrepareError>> = some
            .into_par_iter()
            .with_max_len(1)
            .map(|task| BuiltTask::build(task, store, options, tokenizer))
            .collect();
        for task in built {
            all.push(task?);
        }
    }
}

//! From task files to tokens: tasks as they are built, without a model.

use miette::Diagnostic;
use rayon::prelude::*;

use super::error::PrepareError;
use crate::dataset::DatasetStore;
use crate::metric::Scorer;
use crate::prompt::{self, PromptOptions, TaskRequests};
use crate::task::Task;
use crate::tokenizer::{TokenRequest, Tokenizer, encode_requests};
use crate::vocabulary::SplitRecord;

/// A task with everything that a model is asked, in tokens.
pub struct BuiltTask {
    /// The task.
    pub task: Task,
    /// Its metrics.
    pub scorer: Scorer,
    /// Its requests.
    pub requests: TaskRequests,
    /// Their tokens, by document.
    pub tokens: Vec<Vec<TokenRequest>>,
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
        let tokens =
            encode_requests(tokenizer, &requests.documents).map_err(|source| PrepareError::Tokenizer {
                task: task.name.to_string(),
                hint: source.help().map(|h| h.to_string()).unwrap_or_default(),
                source,
            })?;
        Ok(Self { task, scorer, requests, tokens })
    }

    /// The splits that it was made of.
    pub fn splits(&self) -> Vec<SplitRecord> {
        self.requests.splits.iter().map(|(name, split)| split.record(name)).collect()
    }
}

/// Tasks that are built at once. One that waits for its own documents lets its thread begin another, so it is also how
/// deep they stand on a thread's stack.
const AT_ONCE: usize = 16;

/// Builds and encodes all tasks, several at once; `None` where `stop` said so.
///
/// # Errors
/// That of the first task that has one.
pub fn build_all(
    tasks: Vec<Task>,
    store: &DatasetStore,
    options: &PromptOptions,
    tokenizer: &Tokenizer,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Vec<BuiltTask>>, PrepareError> {
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

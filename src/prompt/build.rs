//! A task's requests, built from its rows.

use std::sync::Arc;

use rayon::prelude::*;

use super::context::Builder;
use super::documents;
use super::error::{PromptError, hint};
use super::options::PromptOptions;
use super::shots::{self, ShotPool};
use crate::dataset::{DatasetStore, Split};
use crate::task::Task;
use crate::vocabulary::DocumentRequests;

/// All requests of a task.
#[derive(Debug, Clone)]
pub struct TaskRequests {
    /// In doc_id order.
    pub documents: Vec<DocumentRequests>,
    /// Documents of the split, before any limit.
    pub available: usize,
    /// Shots per document.
    pub num_fewshot: usize,
    /// The rows that were read: the evaluated ones, and those of the shots.
    pub splits: Vec<(String, Split)>,
    /// Contexts without the system's turn, which the chat template refuses.
    pub without_system: usize,
    /// Documents whose right answer the dataset hides behind a label below 0: none of their choices is right.
    pub hidden_labels: usize,
}

/// Builds a task's requests.
///
/// Documents are ordered and shots drawn sequentially, since every draw advances the random generator; the
/// texts are then rendered in parallel.
///
/// # Errors
/// See [`PromptError`].
pub fn build(
    task: &Task,
    store: &DatasetStore,
    options: &PromptOptions,
) -> Result<TaskRequests, PromptError> {
    let read = |split: &str| {
        let found = store.split(&task.dataset, split);
        found.map_err(|source| PromptError::Dataset { task: task.name.clone(), hint: hint(&source), source })
    };
    let evaluated = task.evaluation_split().unwrap_or_default().to_string();
    let rows = read(&evaluated)?;
    let mut splits = vec![(evaluated.clone(), rows.clone())];

    let num_fewshot = shots::count(task, options);
    let pool = match (&task.fewshot.samples, task.fewshot_split()) {
        _ if num_fewshot == 0 => ShotPool::empty(),
        (Some(samples), _) if task.splits.fewshot.is_none() => {
            ShotPool::new("samples", Arc::new(samples.clone()), false)
        }
        (_, split) => {
            let name = split.unwrap_or(&evaluated).to_string();
            let split = read(&name)?;
            let pool = ShotPool::new(&name, split.rows.clone(), name == evaluated);
            splits.push((name, split));
            pool
        }
    };
    let limit = options.limits.of(&task.name).map(|limit| limit.of(rows.rows.len()));
    let (order, draws) = documents::order_and_draw(task, &rows.rows, &pool, num_fewshot, limit)?;

    let builder = Builder::new(task, &evaluated, &pool, &options.chat, rows.rows.first())?;
    // Collected first, so that the first document's error is reported, not the error that was found first.
    let documents: Vec<Result<_, _>> = order
        .par_iter()
        .zip(&draws)
        .enumerate()
        .map(|(doc_id, (&row, shots))| {
            let document = builder.document(doc_id, row, &rows.rows[row], shots)?;
            builder.room.take_document(&document)?;
            Ok(document)
        })
        .collect();
    let documents = documents.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (without_system, hidden_labels) = (builder.without_system(), builder.hidden_labels());
    let available = rows.rows.len();
    Ok(TaskRequests { documents, available, num_fewshot, splits, without_system, hidden_labels })
}

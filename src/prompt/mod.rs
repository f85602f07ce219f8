//! From rows to requests: which documents, which shots, which words.

mod context;
mod documents;
mod shots;

use std::sync::Arc;

use miette::Diagnostic;
use rayon::prelude::*;
use thiserror::Error;

use crate::dataset::{DatasetError, DatasetStore, Split};
use crate::task::{Columns, Task, TemplateError};
use crate::vocabulary::{DocumentRequests, TaskLimits};

use context::Builder;
use shots::ShotPool;

/// Requests cannot be built.
#[derive(Debug, Error, Diagnostic)]
pub enum PromptError {
    /// No rows.
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Dataset {
        /// The task.
        task: Arc<str>,
        /// The fault.
        source: DatasetError,
        /// What to do.
        hint: String,
    },
    /// A template.
    #[error("task `{task}`, row {row} of `{split}`: {source}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Template {
        /// The task.
        task: Arc<str>,
        /// The row, from 0.
        row: usize,
        /// Its split.
        split: String,
        /// The fault.
        source: TemplateError,
        /// What to do.
        hint: String,
    },
    /// A document whose values cannot be asked.
    #[error("task `{task}`, row {row} of `{split}`: {what}")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    Document {
        /// The task.
        task: Arc<str>,
        /// The row, from 0.
        row: usize,
        /// Its split.
        split: String,
        /// The fault.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// Fewer rows than shots.
    #[error("task `{task}`: {wanted} shots asked for, `{split}` has {found} rows to draw them from")]
    #[diagnostic(code(assay::input), help("ask for fewer with --num-fewshot, or give the whole dataset"))]
    TooFewShots {
        /// The task.
        task: Arc<str>,
        /// Shots a document needs.
        wanted: usize,
        /// Where they come from.
        split: String,
        /// Rows there.
        found: usize,
    },
}

/// What the command line changes.
#[derive(Debug, Clone, Default)]
pub struct PromptOptions {
    /// Only the first documents of a task, after any shuffle.
    pub limits: TaskLimits,
    /// Other shots than the task declares.
    pub num_fewshot: Option<usize>,
}

/// All requests of a task.
#[derive(Debug, Clone)]
pub struct TaskRequests {
    /// In doc_id order.
    pub documents: Vec<DocumentRequests>,
    /// Documents of the split, without a limit.
    pub available: usize,
    /// Shots a document.
    pub num_fewshot: usize,
    /// The rows that were read: the evaluated ones, and those of the shots.
    pub splits: Vec<(String, Split)>,
}

/// Builds a task's requests.
///
/// Documents are ordered and shots drawn one after the other, since every draw moves the generator; the texts are then
/// rendered in parallel.
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
            ShotPool::new("samples", Arc::new(samples.clone()))
        }
        (_, split) => {
            let name = split.unwrap_or(&evaluated).to_string();
            let split = read(&name)?;
            let pool = ShotPool::new(&name, split.rows.clone());
            splits.push((name, split));
            pool
        }
    };
    let limit = options.limits.of(&task.name);
    let (order, draws) = documents::order_and_draw(task, &rows.rows, &pool, num_fewshot, limit)?;

    let builder = Builder::new(task, &evaluated, &pool, rows.rows.first())?;
    // Collected first: of several faults the first document's is told, not the one that was found first.
    let documents: Vec<Result<_, _>> = order
        .par_iter()
        .zip(&draws)
        .enumerate()
        .map(|(doc_id, (&row, shots))| builder.document(doc_id, row, &rows.rows[row], shots))
        .collect();
    let documents = documents.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(TaskRequests { documents, available: rows.rows.len(), num_fewshot, splits })
}

fn hint(fault: &dyn Diagnostic) -> String {
    fault.help().map(|help| help.to_string()).unwrap_or_default()
}

/// A row as templates see it: the task's constants, and over them the row's own columns.
fn columns(task: &Task, row: &crate::vocabulary::Row) -> Columns {
    let mut all = task.constants.clone();
    for (name, value) in row {
        all.insert(name.clone(), value.clone());
    }
    Columns::new(all)
}

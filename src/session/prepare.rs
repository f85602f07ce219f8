//! The model is loaded while tasks are built and weights are hashed: each leaves the CPU idle at times.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::SessionError;
use super::model_source::ModelSource;
use super::notice::{Notice, Notify};
use super::spans::Spans;
use super::weight_hashes::WeightHashes;
use crate::dataset::DatasetStore;
use crate::evaluate::{BuiltTask, build_all};
use crate::model::{LoadOptions, Model, ModelFiles};
use crate::prompt::PromptOptions;
use crate::task::Task;
use crate::tokenizer::Tokenizer;

/// The inputs of a run with the in-process engine.
pub struct Preparation<'a> {
    pub source: &'a ModelSource,
    /// How to load the model.
    pub options: LoadOptions,
    /// A tokenizer that replaces the model's own.
    pub tokenizer: Option<&'a Path>,
    pub tasks: Vec<Task>,
    /// Where the tasks' rows are.
    pub store: &'a DatasetStore,
    /// Options that change the tasks' prompts.
    pub prompts: &'a PromptOptions,
    /// The folder of the caches that runs share.
    pub cache: Option<&'a Path>,
}

/// A loaded model, and tasks encoded with its tokenizer.
pub struct Prepared {
    pub model: Model,
    pub tokenizer: Tokenizer,
    pub tasks: Vec<BuiltTask>,
    /// The hashes of the model's weights, still being computed.
    pub hashes: WeightHashes,
}

/// Prepares a run; `None` if `stop` returned true.
///
/// # Errors
/// The model's, or else that of the first task that fails.
pub fn prepare(
    preparation: Preparation<'_>,
    stop: &(dyn Fn() -> bool + Sync),
    spans: &mut Spans,
    notify: Notify<'_>,
) -> Result<Option<Prepared>, SessionError> {
    let Preparation { source, options, tokenizer, tasks, store, prompts, cache } = preparation;
    spans.begin();
    let files = ModelFiles::open(&source.path)?;
    let hashes = WeightHashes::begin(files.weight_files(), cache);
    let failed = AtomicBool::new(false);
    let stop_or_failed = || stop() || failed.load(Ordering::Relaxed);
    let build = || -> Result<Option<(Tokenizer, Vec<BuiltTask>)>, SessionError> {
        let tokenizer = source.tokenizer(tokenizer, &files)?;
        let (tokens, rows) = (tokenizer.vocabulary_size(), files.config().vocab_size);
        if tokens > rows {
            notify(Notice::TokenizerLarger { tokens, rows });
        }
        let built = build_all(tasks, store, prompts, &tokenizer, &stop_or_failed)?;
        Ok(built.map(|built| (tokenizer, built)))
    };
    // A thread of its own: on one of the pool's, loading would delay other jobs.
    let ((model, loading), (built, building)) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let model = Model::load_files(&files, options);
            failed.store(model.is_err(), Ordering::Relaxed);
            (model, spans.elapsed())
        });
        let built = (build(), spans.elapsed());
        (loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), built)
    });
    let model = model?;
    let Some((tokenizer, tasks)) = built?.filter(|_| !stop()) else { return Ok(None) };
    spans.add("loading", loading);
    spans.add("preparing_beside_loading", building);
    Ok(Some(Prepared { model, tokenizer, tasks, hashes }))
}

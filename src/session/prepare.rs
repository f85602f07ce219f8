//! The model is loaded while tasks are built and weights are hashed: each leaves the CPU idle at times.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::error::SessionError;
use super::model_source::ModelSource;
use super::notice::Notify;
use super::spans::Spans;
use super::tokenizer_choice::ChosenTokenizer;
use super::weight_hashes::WeightHashes;
use crate::dataset::DatasetStore;
use crate::evaluate::{BuiltTask, build_all};
use crate::model::{LoadOptions, Model, ModelFiles};
use crate::prompt::PromptOptions;
use crate::task::Task;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Preparing;

/// The inputs of a run with the in-process engine.
pub struct Preparation<'a> {
    pub source: &'a ModelSource,
    /// How to load the model.
    pub options: LoadOptions,
    /// A tokenizer that replaces the model's own.
    pub tokenizer: Option<&'a Path>,
    /// Whether the tokenizer may be another model's.
    pub allow_other_tokenizer: bool,
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
    /// Why the tokenizer may not be the model's, where that was allowed.
    pub tokenizer_faults: Vec<String>,
    pub tasks: Vec<BuiltTask>,
    /// The hashes of the model's weights, still being computed.
    pub hashes: WeightHashes,
}

/// Time between two calls of `watch`.
const TICK: Duration = Duration::from_millis(100);

/// Prepares a run. `watch` is called from another thread, again and again until all is ready.
///
/// # Errors
/// The model's, or else that of the first task that fails.
pub fn prepare(
    preparation: Preparation<'_>,
    spans: &mut Spans,
    notify: Notify<'_>,
    watch: &(dyn Fn(Preparing) + Sync),
) -> Result<Prepared, SessionError> {
    let Preparation { source, options, tokenizer, allow_other_tokenizer, tasks, store, prompts, cache } =
        preparation;
    spans.begin();
    let files = ModelFiles::open(&source.path)?;
    let hashes = WeightHashes::begin(files.weight_files(), cache);
    let (failed, loaded) = (AtomicBool::new(false), AtomicBool::new(false));
    let build = || -> Result<(ChosenTokenizer, Vec<BuiltTask>), SessionError> {
        let chosen = ChosenTokenizer::find(source, tokenizer, &files)?;
        chosen.check(&files, allow_other_tokenizer, notify)?;
        let tokenizer = &chosen.tokenizer;
        let built = build_all(tasks, store, prompts, tokenizer, &|| failed.load(Ordering::Relaxed))?;
        Ok((chosen, built))
    };
    // A thread of its own: on one of the pool's, loading would delay other jobs.
    let ((model, loading), (built, building)) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let model = Model::load_files(&files, options);
            failed.store(model.is_err(), Ordering::Relaxed);
            loaded.store(true, Ordering::Relaxed);
            (model, spans.elapsed())
        });
        let (ready, awaited) = mpsc::channel::<()>();
        let (files, loaded) = (&files, &loaded);
        scope.spawn(move || {
            while awaited.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let (read, of) = files.progress();
                watch(Preparing { read, of, loaded: loaded.load(Ordering::Relaxed) });
            }
        });
        let built = (build(), spans.elapsed());
        let model = loading.join();
        drop(ready);
        (model.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), built)
    });
    let model = model?;
    // It ends early only where the model failed, whose error was returned.
    let (chosen, tasks) = built?;
    let ChosenTokenizer { tokenizer, faults: tokenizer_faults, .. } = chosen;
    spans.add("loading", loading);
    spans.add("preparing_beside_loading", building);
    Ok(Prepared { model, tokenizer, tokenizer_faults, tasks, hashes })
}

//! `assay eval`: the main job.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{HumanCount, HumanDuration};

use super::arguments::EvalArguments;
use super::failure::{self, Failure};
use super::memory::room;
use super::model_files::ModelSource;
use super::output::{say, write_stdout};
use super::pins;
use super::progress::Progress;
use crate::dataset::DatasetStore;
use crate::engine::Loaded;
use crate::evaluate::{
    Circumstances, Evaluation, Limits, Plan, Prepared, evaluate, plan, prepare_all, suite_record,
};
use crate::model::{LoadOptions, Model, name_of};
use crate::prompt::PromptOptions;
use crate::report;
use crate::store::{ModelRecord, RunFolder, RunRecord, results_json, run_json};
use crate::task::{Selection, Suite, TaskIndex};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Event, Fingerprint};

/// Scores a model and writes the run's folder.
pub fn run(arguments: &EvalArguments, command_line: Vec<String>) -> Result<ExitCode, Failure> {
    let started = SystemTime::now();
    let stop = stop_on_interrupt();
    let threads = use_threads(arguments.threads)?;
    let index = TaskIndex::load(&arguments.tasks.data.include)?;
    let selection = index.select(&arguments.tasks.names()?)?;
    let store = arguments.tasks.data.store()?;
    let source = ModelSource::find(arguments.model.as_deref())?;
    let folder = open_folder(arguments.output.as_deref(), &source.path, started)?;
    let run = Run {
        arguments,
        command_line,
        started,
        threads,
        index: &index,
        store: &store,
        source: &source,
        stop,
    };
    let outcome = run.score(selection, &folder);
    if outcome.is_err() || matches!(outcome, Ok(None)) {
        folder.abandon();
    }
    Ok(outcome?.unwrap_or_else(|| {
        say!("interrupted before a document was finished; nothing was written");
        ExitCode::from(failure::INTERRUPTED)
    }))
}

/// What a run is made of before its model is loaded.
struct Run<'a> {
    arguments: &'a EvalArguments,
    command_line: Vec<String>,
    started: SystemTime,
    threads: usize,
    index: &'a TaskIndex,
    store: &'a DatasetStore,
    source: &'a ModelSource,
    stop: Arc<AtomicBool>,
}

impl Run<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Scores and writes; `None` where it was stopped before a document was finished.
    fn score(&self, selection: Selection, folder: &RunFolder) -> Result<Option<ExitCode>, Failure> {
        let mut spans: Vec<(&'static str, Duration)> = Vec::new();
        let clock = Instant::now();
        let options = LoadOptions {
            dtype: self.arguments.dtype.into(),
            device: self.arguments.device,
            ..LoadOptions::default()
        };
        let model = Model::load(&self.source.path, options)?;
        let tokenizer = self.source.tokenizer(self.arguments.tokenizer.as_deref(), &model)?;
        spans.push(("loading", clock.elapsed()));
        let hashes = hash_in_background(model.facts().weight_files.clone());

        let clock = Instant::now();
        let limit = self.arguments.tasks.limit.map(|n| n as usize);
        let num_fewshot = self.arguments.tasks.num_fewshot.map(|n| n as usize);
        let options = PromptOptions { limit, num_fewshot };
        let Selection { tasks, suite } = selection;
        let facts = model.facts();
        let room = room(self.arguments.kv_memory, facts);
        let limits = Limits {
            max_length: facts.max_length,
            vocab_size: facts.vocab_size,
            room,
            kv_bytes_per_token: facts.kv_bytes_per_token,
        };
        let stop = || self.stopped();
        let Some(prepared) = prepare_all(tasks, self.store, &options, &tokenizer, limits, &stop)? else {
            return Ok(None);
        };
        spans.push(("preparing", clock.elapsed()));
        let plan = plan(&prepared, facts.max_length, room)?;
        announce(&model, self.source, &prepared, &plan, self.store, num_fewshot);

        let clock = Instant::now();
        let mut evaluation = Evaluation::default();
        let mut progress = Progress::new(&plan);
        let mut loaded = Loaded::new(&model, &tokenizer);
        let mut unwritten = None;
        let outcome = evaluate(
            &prepared,
            &mut loaded,
            &tokenizer,
            room,
            &|| self.stopped(),
            &mut |event: Event<'_>| progress.show(&event),
            &mut evaluation,
        );
        progress.finish();
        spans.push(("evaluating", clock.elapsed()));

        // Whatever happened, what was finished is written.
        evaluation.tasks.retain(|task| !task.outcomes.is_empty());
        for record in &evaluation.tasks {
            if let Err(error) = folder.write_samples(record) {
                unwritten.get_or_insert(error);
            }
        }
        let suite = suite.or_else(|| covering_suite(self.index, &prepared));
        let circumstances = Circumstances {
            limit,
            sample_model: self.source.sample,
            interrupted: evaluation.interrupted || outcome.is_err(),
        };
        let suite = suite
            .map(|suite| suite_record(&suite, self.index, &evaluation.tasks, &circumstances))
            .transpose()?;
        let record = RunRecord {
            arguments: self.command_line.clone(),
            model: model_record(&model, self.source, &tokenizer, hashes),
            tasks: &evaluation.tasks,
            suite,
            limit,
            num_fewshot,
            threads: self.threads,
            started: self.started,
            spans,
            work: vec![
                ("tokens_alone", plan.tokens_alone),
                ("tokens_planned", plan.tokens_planned),
                ("tokens_computed", evaluation.work.tokens_computed),
                ("tokens_generated", evaluation.work.tokens_generated),
                ("passes", evaluation.work.passes),
                ("peak_live_kv_tokens", evaluation.work.peak_live_kv_tokens),
                ("rows_per_pass", evaluation.rows_per_pass),
            ],
            interrupted: evaluation.interrupted,
            failed: outcome.as_ref().err().map(ToString::to_string),
        };
        if !evaluation.tasks.is_empty() {
            folder.write_json("results.json", &results_json(&record))?;
            folder.write_json("run.json", &run_json(&record))?;
        }
        outcome?;
        if let Some(error) = unwritten {
            return Err(error.into());
        }
        if evaluation.tasks.is_empty() {
            return Ok(None);
        }
        let summary = report::run_summary(&record.model.name, &evaluation.tasks, record.suite.as_ref());
        write_stdout(&(summary + "\n"))?;
        say!("results in {}", folder.path().display());
        if evaluation.interrupted {
            say!("interrupted: the documents finished so far are kept there");
            return Ok(Some(ExitCode::from(failure::INTERRUPTED)));
        }
        Ok(Some(ExitCode::SUCCESS))
    }
}

/// Sets the threads of the pool that both tokenising and matrix products use.
fn use_threads(asked: Option<u16>) -> Result<usize, Failure> {
    let threads = match asked {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, |n| n.get()),
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|error| {
        Failure::bad_input(
            format!("{threads} threads cannot be started: {error}"),
            "ask for fewer with --threads",
        )
    })?;
    Ok(threads)
}

fn open_folder(typed: Option<&Path>, model: &Path, started: SystemTime) -> Result<RunFolder, Failure> {
    match typed {
        Some(path) => Ok(RunFolder::create(path)?),
        None => {
            let name = name_of(model);
            let time = humantime::format_rfc3339_seconds(started).to_string();
            let time: String = time.chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
            Ok(RunFolder::fresh(Path::new("results"), &format!("{name}-{time}"))?)
        }
    }
}

/// A suite that the chosen tasks cover, at least in part.
fn covering_suite(index: &TaskIndex, prepared: &[Prepared]) -> Option<Suite> {
    let chosen = |name: &String| prepared.iter().any(|p| *p.task.name == **name);
    let covers = |suite: &&Suite| {
        suite
            .columns
            .iter()
            .any(|column| index.members(&column.tasks, 0).is_ok_and(|members| members.iter().all(chosen)))
    };
    index.suites().iter().find(covers).cloned()
}

fn announce(
    model: &Model,
    source: &ModelSource,
    prepared: &[Prepared],
    plan: &Plan,
    store: &DatasetStore,
    num_fewshot: Option<usize>,
) {
    let facts = model.facts();
    let sample = if source.sample { " (built-in sample)" } else { "" };
    say!(
        "{}{sample}: {}, {} parameters, {} on {} ({} kernels)",
        facts.name,
        facts.architecture,
        HumanCount(facts.parameters),
        facts.dtype,
        facts.device,
        facts.kernels
    );
    if prepared.iter().any(|p| store.is_sampled(&p.task.dataset)) {
        say!("note: no --datasets: the rows are built-in samples, and the numbers are not scores");
    }
    if let Some(asked) = num_fewshot {
        let kept: Vec<&str> =
            prepared.iter().filter(|p| p.requests.num_fewshot != asked).map(|p| &*p.task.name).collect();
        if !kept.is_empty() {
            say!("note: --num-fewshot {asked} does not change {}, which declare 0 shots", kept.join(", "));
        }
    }
    pins::announce(prepared.iter().flat_map(Prepared::splits));
    let truncated: usize = prepared.iter().map(|task| task.truncated).sum();
    if truncated > 0 {
        say!("warning: {truncated} requests are longer than the model's context and are cut from the left");
    }
    let writes = prepared.iter().any(|task| task.tokens.iter().flatten().any(|r| r.max_new_tokens() > 0));
    if writes && facts.eos_token_ids.is_empty() {
        say!(
            "warning: the model's files name no end-of-text token: only the tokenizer's, if any, and stop strings end a text"
        );
    }
    let count = |n: usize| HumanCount(n as u64);
    say!(
        "{} tasks, {} documents, {} requests; {} tokens to compute ({} if each request ran alone), at most {} to write",
        count(prepared.len()),
        count(plan.documents),
        count(plan.requests),
        count(plan.tokens_planned),
        count(plan.tokens_alone),
        count(plan.tokens_to_write)
    );
    match model.seconds_per_token() {
        Ok(seconds) => {
            let tokens = plan.expected_tokens();
            say!("expected to take about {}", HumanDuration(Duration::from_secs_f64(tokens * seconds)));
        }
        Err(error) => say!("how long it takes cannot be told: {error}"),
    }
}

/// The first Ctrl-C ends the run after the pass that is being computed, the second at once.
fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(failure::INTERRUPTED));
        }
        say!("interrupted: finishing the pass; once more to stop at once");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say!("warning: Ctrl-C will lose what is finished: {error}");
    }
    stop
}

type Hashes = JoinHandle<Vec<(String, std::io::Result<Fingerprint>)>>;

/// Hashing reads all weights once more, at the speed of the disk, beside the computation.
fn hash_in_background(files: Vec<PathBuf>) -> Hashes {
    std::thread::spawn(move || {
        files
            .into_iter()
            .map(|path| {
                let mut hasher = blake3::Hasher::new();
                let hash = std::fs::File::open(&path)
                    .and_then(|file| hasher.update_reader(file).map(|h| h.finalize().into()));
                (path.display().to_string(), hash)
            })
            .collect()
    })
}

fn model_record(model: &Model, source: &ModelSource, tokenizer: &Tokenizer, hashes: Hashes) -> ModelRecord {
    let facts = model.facts();
    // Where the sample was unpacked says nothing about the run.
    let shown = |path: &Path| match (source.sample, path.file_name()) {
        (true, Some(name)) => format!("built-in/{}", name.to_string_lossy()),
        _ => path.display().to_string(),
    };
    let mut weights = Vec::new();
    for (path, hash) in hashes.join().unwrap_or_default() {
        match hash {
            Ok(hash) => weights.push((shown(Path::new(&path)), hash)),
            Err(error) => say!("warning: {path}: not hashed: {error}"),
        }
    }
    ModelRecord {
        name: facts.name.clone(),
        path: shown(&facts.path),
        architecture: facts.architecture.to_string(),
        parameters: facts.parameters,
        dtype: facts.dtype.to_string(),
        device: facts.device.clone(),
        kernels: facts.kernels,
        max_length: facts.max_length,
        weights,
        tokenizer: (shown(&tokenizer.path), tokenizer.fingerprint.clone()),
        sample: source.sample,
    }
}

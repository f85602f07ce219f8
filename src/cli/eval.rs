//! `assay eval`: the main job.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::announce::Announcement;
use super::arguments::{EvalArguments, VIEWS};
use super::destination::{Destination, Settled};
use super::failure::{self, Failure};
use super::kept_answers::{KeptAnswers, cache_folder};
use super::memory::room;
use super::model_files::{ModelSource, WeightHashes};
use super::output::{say, write_stdout};
use super::progress::Progress;
use super::usage::usage;
use crate::dataset::DatasetStore;
use crate::engine::{Forward, Loaded};
use crate::evaluate::{
    Circumstances, Digests, Evaluation, Limits, Means, Prepared, evaluate, fit_all, plan, prepare_all,
    suite_record,
};
use crate::model::{LoadOptions, Model, ModelConfig, ModelFiles};
use crate::prompt::PromptOptions;
use crate::report;
use crate::store::{Answers, Keeper, RunRecord, SessionWork, rfc3339, run_identity};
use crate::task::{Selection, Suite, Task, TaskIndex};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Event;

/// Scores a model and writes the run's folder.
pub fn run(arguments: &EvalArguments, command_line: Vec<String>) -> Result<ExitCode, Failure> {
    let (began, started) = (Instant::now(), SystemTime::now());
    let stop = stop_on_interrupt();
    let threads = use_threads(arguments.threads)?;
    let index = TaskIndex::load(&arguments.tasks.data.include)?;
    let selection = index.select(&arguments.tasks.names()?)?;
    let prompts = arguments.tasks.prompt_options(&index, &selection)?;
    let store = arguments.tasks.data.store()?;
    let source = ModelSource::find(arguments.model.as_deref())?;
    let mut destination = Destination::find(arguments.output.as_deref(), &source.path, started)?;
    let cache = match arguments.no_cache {
        true => None,
        false => {
            let folder = cache_folder();
            if folder.is_none() {
                say!(
                    "note: no answers are kept across runs: neither ASSAY_CACHE nor XDG_CACHE_HOME nor HOME is set"
                );
            }
            folder
        }
    };
    let command = as_typed(&command_line);
    let run = Run {
        arguments,
        command_line,
        began,
        started,
        threads,
        index: &index,
        store: &store,
        source: &source,
        cache,
        stop,
    };
    let outcome = run.score(selection, prompts, &mut destination);
    let kept = destination.close();
    let outcome = outcome.map_err(|failure| match &kept {
        Some(folder) => failure.and_hint(format!(
            "what was answered is kept in {}, and the same command goes on from there",
            folder.display()
        )),
        None => failure,
    });
    Ok(outcome?.unwrap_or_else(|| {
        match kept {
            Some(folder) => {
                say!(
                    "interrupted before a document was finished: what was answered is kept in {}; the same command goes on from there",
                    folder.display()
                );
                say!("go on with: {command}");
            }
            None => say!("interrupted before a request was answered; nothing was written"),
        }
        ExitCode::from(failure::INTERRUPTED)
    }))
}

/// What a run is made of before its model is loaded.
struct Run<'a> {
    arguments: &'a EvalArguments,
    command_line: Vec<String>,
    began: Instant,
    started: SystemTime,
    threads: usize,
    index: &'a TaskIndex,
    store: &'a DatasetStore,
    source: &'a ModelSource,
    /// The folder of what is cached across runs.
    cache: Option<PathBuf>,
    stop: Arc<AtomicBool>,
}

impl Run<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The tokenizer, and what the model is to be asked; `None` where it was stopped before.
    fn prepare(
        &self,
        tasks: Vec<Task>,
        prompts: &PromptOptions,
        config: &ModelConfig,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<(Tokenizer, Vec<Prepared>)>, Failure> {
        let tokenizer = self.source.tokenizer(self.arguments.tokenizer.as_deref(), config)?;
        let prepared = prepare_all(tasks, self.store, prompts, &tokenizer, stop)?;
        Ok(prepared.map(|prepared| (tokenizer, prepared)))
    }

    /// Scores and writes; `None` where it was stopped before a document was finished.
    fn score(
        &self,
        selection: Selection,
        prompts: PromptOptions,
        destination: &mut Destination,
    ) -> Result<Option<ExitCode>, Failure> {
        let mut spans: Vec<(&'static str, Duration)> = Vec::new();
        let clock = Instant::now();
        let options = LoadOptions {
            dtype: self.arguments.dtype.into(),
            device: self.arguments.device,
            ..LoadOptions::default()
        };
        let path = &self.source.path;
        let files = ModelFiles::open(path)?;
        let hashes = WeightHashes::begin(files.weight_files(), self.cache.as_deref());
        let config = files.config();
        let Selection { mut tasks, suite } = selection;
        let views = self.arguments.views;
        if views {
            tasks = with_views(tasks)?;
        }
        // Each leaves the processor to the other at times. Threads of their own: one of the pool's would keep others' jobs waiting.
        let failed = AtomicBool::new(false);
        let stop = || self.stopped() || failed.load(Ordering::Relaxed);
        let ((model, loading), (prepared, preparing)) = std::thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let model = Model::load_files(&files, options);
                failed.store(model.is_err(), Ordering::Relaxed);
                (model, clock.elapsed())
            });
            let prepared = (self.prepare(tasks, &prompts, config, &stop), clock.elapsed());
            (loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), prepared)
        });
        let model = model?;
        let Some((tokenizer, mut prepared)) = prepared?.filter(|_| !self.stopped()) else { return Ok(None) };
        let mut loaded = Loaded::new(&model, &tokenizer);
        spans.extend([("loading", loading), ("preparing_beside_loading", preparing)]);

        let clock = Instant::now();
        let facts = model.facts();
        let room = room(self.arguments.kv_memory, facts);
        let fits = Limits {
            max_length: facts.max_length,
            vocab_size: facts.vocab_size,
            room,
            kv_bytes_per_token: facts.kv_bytes_per_token,
        };
        let stop = || self.stopped();
        fit_all(&mut prepared, fits)?;
        // Waited for only here: hashing goes on beside both.
        let (hashes, hashing) = hashes.finish()?;
        spans.push(("hashing_beside_both", hashing));
        let model_record = self.source.record(&model, &tokenizer, hashes, loaded.end_of_text());
        let PromptOptions { limits, num_fewshot } = prompts;
        let suite = suite.or_else(|| covering_suite(self.index, &prepared));
        let digests: Vec<Digests> = prepared.par_iter().map(Digests::of).collect();
        let tasks: Vec<(&Prepared, &Digests)> = prepared.iter().zip(&digests).collect();
        let suite_name = suite.as_ref().map(|suite| suite.name.as_str());
        let identity = run_identity(&model_record, &tasks, &limits, num_fewshot, views, suite_name);
        let names: Vec<Arc<str>> = prepared.iter().map(|task| task.task.name.clone()).collect();
        let digests: Vec<(Arc<str>, Digests)> = names.iter().cloned().zip(digests).collect();
        let Settled { folder, history, complete: known } =
            destination.settle(&identity, &self.session_facts())?;

        let mut kept = KeptAnswers::new(self.cache.as_deref(), &model_record);
        let mut answers = kept.recall(&mut prepared, history);
        spans.push(("settling", clock.elapsed()));
        let plan = plan(&prepared, facts.max_length, room)?;
        let (model, prepared) = (&model, &prepared[..]);
        let (source, store, plan) = (self.source, self.store, &plan);
        Announcement { model, source, prepared, plan, answers, store, num_fewshot }.say();

        let clock = Instant::now();
        let usage = || usage(self.began);
        let mut evaluation = Evaluation::default();
        let mut progress = Progress::new(plan, answers.requests - plan.requests);
        let mut keeper = Keeper {
            journal: &mut folder.journal,
            cache: kept.cache.take(),
            tasks: names,
            usage: &usage,
            work: SessionWork::default(),
            cache_fault: None,
        };
        kept.exchange(&mut keeper)?;
        let means = &mut Means {
            forward: &mut loaded,
            tokenizer: &tokenizer,
            room,
            speculation: self.arguments.speculate.on_device(&facts.device),
            stop: &stop,
            notify: &mut |event: Event<'_>| progress.show(&event),
            ledger: &mut keeper,
        };
        let outcome = evaluate(prepared, means, &mut evaluation).map_err(Failure::from);
        progress.finish();
        let session = keeper.session(&evaluation.work);
        answers.computed += session.requests_computed;
        kept.close(keeper.cache_fault.take(), self.arguments.cache_size);
        spans.push(("evaluating", clock.elapsed()));

        // Whatever happened, what was finished is written.
        evaluation.tasks.retain(|task| !task.outcomes.is_empty());
        let circumstances = Circumstances {
            limits: limits.clone(),
            sample_model: self.source.sample,
            interrupted: evaluation.interrupted || outcome.is_err(),
        };
        let suite = suite
            .map(|suite| suite_record(&suite, self.index, &evaluation.tasks, &circumstances))
            .transpose()?;
        let data = &self.arguments.tasks.data;
        let mut record = RunRecord {
            arguments: self.command_line.clone(),
            model: model_record.clone(),
            tasks: &evaluation.tasks,
            digests: &digests,
            suite,
            limits,
            num_fewshot,
            views,
            datasets: data.datasets.as_ref().map(|folder| folder.display().to_string()),
            include: data.include.iter().map(|folder| folder.display().to_string()).collect(),
            identity: &identity,
            threads: self.threads,
            started: self.started,
            spans,
            earlier: &history.sessions,
            session: session.clone(),
            answered: answers,
            work: vec![
                ("tokens_alone", plan.tokens_alone),
                ("peak_live_kv_tokens", evaluation.work.peak_live_kv_tokens),
                ("rows_per_pass", evaluation.rows_per_pass),
            ],
            tokens_planned: plan.tokens_planned,
            interrupted: evaluation.interrupted,
            failed: outcome.as_ref().err().map(|failure| failure.message().to_string()),
            files: Vec::new(),
        };
        if !known && !record.tasks.is_empty() {
            let written = folder.write_run(&mut record);
            if let Err(failure) = outcome {
                // This error is told; what comes of it here, on a full disk say, is told by the next attempt.
                let _ = folder.journal.keep([], false, session);
                return Err(failure);
            }
            written?;
            match record.interrupted {
                true => folder.journal.keep([], false, session)?,
                false => folder.journal.finish(session)?,
            }
        } else {
            outcome?;
        }
        tell(&record, folder.path(), known)
    }

    /// This session, for people who read the journal.
    fn session_facts(&self) -> Value {
        json!({"started": rfc3339(self.started), "arguments": self.command_line, "threads": self.threads})
    }
}

/// Prints the table, and says where everything is; `None` where there is nothing to tell.
fn tell(record: &RunRecord<'_>, folder: &Path, was_complete: bool) -> Result<Option<ExitCode>, Failure> {
    if record.tasks.is_empty() {
        return Ok(None);
    }
    let summary = report::run_summary(&record.model.name, record.tasks, record.suite.as_ref());
    write_stdout(&(summary + "\n"))?;
    let folder = folder.display();
    match was_complete {
        true => say!("results in {folder}: this run was complete already"),
        false => say!("results in {folder}"),
    }
    if !record.interrupted {
        return Ok(Some(ExitCode::SUCCESS));
    }
    let Answers { requests, computed, from_cache, .. } = record.answered;
    say!(
        "interrupted: {} of {requests} requests are answered and kept in {folder}; the same command goes on from there",
        computed + from_cache
    );
    say!("go on with: {}", as_typed(&record.arguments));
    Ok(Some(ExitCode::from(failure::INTERRUPTED)))
}

/// A command line that a shell reads as these arguments.
fn as_typed(arguments: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%".contains(c);
    let quoted = |argument: &String| match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.clone(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
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

/// The tasks with what else their texts can be read for.
fn with_views(tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
    if tasks.iter().all(|task| task.views.is_none()) {
        return Err(Failure::bad_input(
            format!("--{VIEWS}: none of the chosen tasks has other views of its texts"),
            format!("choose a task whose file declares `views`, or leave --{VIEWS} out"),
        ));
    }
    Ok(tasks.into_iter().map(Task::with_views).collect())
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

#[cfg(test)]
mod tests {
    use super::as_typed;

    #[test]
    fn a_command_can_be_typed_again() {
        let arguments = ["assay", "eval", "--tasks", "hendrycksTest-*", "--output", "my run", "it's", ""];
        assert_eq!(
            as_typed(&arguments.map(String::from)),
            r"assay eval --tasks 'hendrycksTest-*' --output 'my run' 'it'\''s' ''"
        );
    }
}

//! `assay eval`: the main job, in five phases: choose, prepare, settle, evaluate, finish.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use super::announce::Announcement;
use super::eval_arguments::{EvalArguments, VIEWS};
use super::failure::{self, Failure};
use super::forecast::ShownForecast;
use super::interrupt::Interrupt;
use super::notices::{say_notice, say_task_notes, say_whose_tasks};
use super::output::{detail, note, say, write_stdout};
use super::preparing::PreparingBar;
use super::progress::Progress;
use super::run_names::new_name;
use super::screen::{paper, wants_json};
use crate::dataset::DatasetStore;
use crate::disk;
use crate::engine::{Engine, Forward, LoadedModel, LocalEngine, RequestLimits};
use crate::model::{Model, ModelFacts};
use crate::report::{self, RunSummary};
use crate::session::{
    DEFAULT_CACHE_SIZE, Destination, FinishedRun, FittedRun, ForecastInputs, ForecastModel, ModelSource,
    Preparation, Prepared, RunSetup, Spans, cache_folder, kv_budget, merge_recipe, prepare, settle,
};
use crate::store::{Answers, TypedCommand};
use crate::task::{Selection, Task, TaskIndex};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::shell_words;

/// Scores a model and writes the run's folder. `is_foreign`: the command line is one of lm_eval.
pub fn run(
    arguments: &EvalArguments,
    command_line: Vec<String>,
    is_foreign: bool,
) -> Result<ExitCode, Failure> {
    let (began, started) = (Instant::now(), SystemTime::now());
    let interrupt = Interrupt::listen();
    let command = shell_words(&command_line);
    let run = Run::choose(arguments, command_line, began, started, interrupt)?;
    if is_foreign {
        say_whose_tasks(&run.selection, &run.index);
    }
    if arguments.dry_run {
        return run.forecast();
    }
    let mut destination =
        Destination::find(arguments.output.as_deref(), &arguments.results.results, &run.setup.name, started)?;
    run.interrupt.before_end(destination.remover());
    let outcome = run.score(&mut destination);
    let kept = destination.close();
    let outcome = outcome.map_err(|failure| match &kept {
        Some(folder) => failure.and_hint(format!(
            "what was answered is kept in {}, and the same command goes on from there",
            folder.display()
        )),
        None => failure,
    });
    if let Some(finished) = outcome? {
        return report(&finished, &command, arguments.by_subject);
    }
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
    Ok(ExitCode::from(failure::INTERRUPTED))
}

/// A run as requested: nothing of its model or its rows is read yet.
struct Run<'a> {
    arguments: &'a EvalArguments,
    setup: RunSetup,
    index: TaskIndex,
    selection: Selection,
    store: DatasetStore,
    source: ModelSource,
    interrupt: Interrupt,
}

impl<'a> Run<'a> {
    /// Resolves the arguments to tasks, data and model.
    fn choose(
        arguments: &'a EvalArguments,
        command_line: Vec<String>,
        began: Instant,
        started: SystemTime,
        interrupt: Interrupt,
    ) -> Result<Self, Failure> {
        let threads = arguments.model.use_threads()?;
        let index = TaskIndex::load(&arguments.tasks.data.include)?;
        let mut selection = index.select(&arguments.tasks.names()?)?;
        say_task_notes(&index);
        let store = arguments.tasks.data.store()?;
        let source = ModelSource::find(arguments.model.model.as_deref())?;
        let chat = arguments.model.template_place(&source.path);
        let prompts = arguments.tasks.prompt_options(&index, &selection, chat)?;
        arguments.model.refuse_half_samples(&arguments.tasks.data, &selection, &store)?;
        if arguments.views {
            selection.tasks = with_views(selection.tasks)?;
        }
        let cache = if arguments.no_cache { None } else { cache_folder() };
        if cache.is_none() && !arguments.no_cache {
            note!(
                "note: no answers are kept across runs: neither ASSAY_CACHE nor XDG_CACHE_HOME nor HOME is set"
            );
        }
        let merge = merge_recipe(&source.path).unwrap_or_else(|fault| {
            say!("warning: {fault}; the merge's parents are not recorded");
            None
        });
        let setup = RunSetup {
            name: new_name(arguments.name.as_deref(), &source)?,
            merge,
            command: TypedCommand::here(command_line),
            began,
            started,
            threads,
            prompts,
            views: arguments.views,
            datasets: arguments.tasks.data.datasets.clone(),
            include: arguments.tasks.data.include.clone(),
            cache,
            cache_size: arguments.cache_size.unwrap_or(DEFAULT_CACHE_SIZE),
        };
        Ok(Self { arguments, setup, index, selection, store, source, interrupt })
    }

    /// Says what the run would take, and leaves nothing behind.
    fn forecast(self) -> Result<ExitCode, Failure> {
        let Self { arguments, setup, selection, store, source, .. } = self;
        let inputs = ForecastInputs {
            model: ForecastModel::Own {
                source: &source,
                options: arguments.model.options(),
                tokenizer: arguments.model.tokenizer.as_deref(),
                allow_other_tokenizer: arguments.model.allow_other_tokenizer,
            },
            tasks: selection.tasks,
            store: &store,
            prompts: &setup.prompts,
            kv_memory: arguments.model.kv_memory,
        };
        let shown = ShownForecast { by_subject: arguments.by_subject, json: wants_json() };
        shown.show(inputs)
    }

    /// Scores and writes; `None` if it was stopped before a document was finished.
    fn score(self, destination: &mut Destination) -> Result<Option<FinishedRun>, Failure> {
        let Self { arguments, setup, index, selection, store, source, interrupt } = self;
        let Selection { tasks, suite, groups } = selection;
        let mut spans = Spans::default();

        // Prepare: the model is loaded while tasks are built and weights are hashed.
        let preparation = Preparation {
            source: &source,
            options: arguments.model.options(),
            tokenizer: arguments.model.tokenizer.as_deref(),
            allow_other_tokenizer: arguments.model.allow_other_tokenizer,
            tasks,
            store: &store,
            prompts: &setup.prompts,
            cache: setup.cache.as_deref(),
        };
        let bar = PreparingBar::new();
        let watch = |now| bar.show(now);
        let prepared = prepare(preparation, &mut spans, &mut say_notice, &watch)?;
        let Prepared { model, tokenizer, tokenizer_faults, tasks, hashes } = prepared;

        for path in read_files(&model, &tokenizer) {
            detail!("read {}", path.display());
        }
        for built in &tasks {
            detail!("read {}", built.task.place.path.display());
        }

        // Settle: which run it is, what is answered already, what is left.
        spans.begin();
        let facts = model.facts();
        let limits = limits(facts, arguments.model.kv_memory);
        let fitted = FittedRun::new(tasks, limits, suite, groups, &index)?;
        // Wait only here: hashing runs concurrently with everything above.
        bar.step("hashing weights");
        let (hashes, hashing) = hashes.finish()?;
        bar.step("planning");
        spans.add("hashing_beside_both", hashing);
        let mut forward = LoadedModel::new(&model, &tokenizer);
        let identity = source.identity(&model, hashes, forward.end_of_text());
        let record = source.record(&identity, facts.max_length, &tokenizer, tokenizer_faults);
        let mut engine = LocalEngine::new(&mut forward, &tokenizer)
            .with_identity(identity)
            .with_limits(limits)
            .with_speculation(arguments.speculate.on_device(&facts.device));
        let run =
            settle(&setup, &fitted, &record, limits.kv_budget, destination, &mut spans, &mut say_notice)?;
        bar.finish();
        Announcement {
            model: &record,
            names_end_of_text: !facts.eos_token_ids.is_empty(),
            seconds_per_token: &|| engine.seconds_per_token(),
            tasks: &fitted.tasks,
            plan: &run.plan.total,
            answers: run.answers,
            store: &store,
            num_fewshot: setup.prompts.num_fewshot,
        }
        .say();

        // Evaluate: requests are answered, answers recorded, documents scored.
        let mut progress = Progress::new(&run.plan.total);
        let outcome = interrupt.between_passes(|stop| {
            run.evaluate(&mut engine, stop, &mut |event| progress.show(&event), &mut spans)
        });
        progress.finish();

        for (phase, time) in spans.named() {
            detail!("{}: {:.2} s", phase.replace('_', " "), time.as_secs_f64());
        }

        // Finish: whatever happened, what was finished is written.
        let finished = outcome?.finish(&index, spans, &mut say_notice)?;
        Ok((!finished.tasks.is_empty()).then_some(finished))
    }
}

/// The files that the model and its tokenizer were read from.
fn read_files(model: &Model, tokenizer: &Tokenizer) -> Vec<PathBuf> {
    model.facts().weight_files.iter().chain([&tokenizer.path]).cloned().collect()
}

/// The limits on requests to a model in this process.
fn limits(facts: &ModelFacts, kv_memory: Option<u64>) -> RequestLimits {
    RequestLimits {
        max_length: facts.max_length,
        vocab_size: facts.vocab_size,
        kv_budget: kv_budget(kv_memory, facts.kv_bytes_per_token),
        kv_bytes_per_token: facts.kv_bytes_per_token,
    }
}

/// Prints the table, and where the results are.
fn report(run: &FinishedRun, command: &str, by_subject: bool) -> Result<ExitCode, Failure> {
    if wants_json() {
        // What is kept of the run, as it is kept.
        let path = run.folder.join("results.json");
        let text = disk::read_text(&path, disk::RECORDS).map_err(|error| {
            Failure::bad_input(
                format!("{}: cannot be read: {error}", path.display()),
                "check the run's folder",
            )
        })?;
        write_stdout(&(text.trim_end().to_string() + "\n"))?;
    } else {
        let summary = RunSummary {
            name: &run.name,
            tasks: &run.tasks,
            groups: &run.groups,
            suite: run.suite.as_ref(),
            by_subject,
        };
        let summary = report::run_summary(&summary, paper());
        write_stdout(&(summary + "\n"))?;
    }
    let folder = run.folder.display();
    if run.was_complete {
        note!("results in {folder}: this run was complete already");
    } else {
        note!("results in {folder}");
    }
    if !run.interrupted {
        return Ok(ExitCode::SUCCESS);
    }
    let Answers { requests, computed, from_cache, .. } = run.answers;
    say!(
        "interrupted: {} of {requests} requests are answered and kept in {folder}; the same command goes on from there",
        computed + from_cache
    );
    say!("go on with: {command}");
    Ok(ExitCode::from(failure::INTERRUPTED))
}

/// The tasks with the other views of their generations.
fn with_views(tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
    if tasks.iter().all(|task| task.views.is_none()) {
        return Err(Failure::bad_input(
            format!("--{VIEWS}: none of the chosen tasks has other views of its texts"),
            format!("choose a task whose file declares `views`, or leave --{VIEWS} out"),
        ));
    }
    Ok(tasks.into_iter().map(Task::with_views).collect())
}

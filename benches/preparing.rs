//! Times the stages from task files to a plan, over all tasks and the real datasets.
//!
//!     cargo bench --bench preparing -- --datasets DIR --tokenizer FILE
//!
//! In the same run, a sample of the documents is also encoded the plain way, as the harness does: for every
//! request its whole context, and context and continuation as a whole. The tokens must be equal.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use assay::dataset::DatasetStore;
use assay::engine::{RequestLimits, Sequence};
use assay::evaluate::{AnsweredTask, BuiltTask, FittedTask, Plan, RunPlan, build_all, fit_all, run_costs};
use assay::metric::Scorer;
use assay::prompt::{self, PromptOptions, TaskRequests};
use assay::python::text::rstrip;
use assay::task::{Task, TaskIndex};
use assay::tokenizer::{Marks, Tokenizer, encode_requests};
use assay::vocabulary::{DocumentRequests, Request, TextBeginRecord};
use rayon::prelude::*;

/// The limits of Mistral-7B.
const LIMITS: RequestLimits = RequestLimits {
    max_length: 32_768,
    vocab_size: usize::MAX,
    kv_budget: usize::MAX,
    kv_bytes_per_token: 128 << 10,
};
/// One document in this many is encoded the plain way too.
const SAMPLED: usize = 40;

type Failure = Box<dyn std::error::Error>;

struct Arguments {
    datasets: PathBuf,
    tokenizer: PathBuf,
}

fn arguments() -> Option<Arguments> {
    let (mut datasets, mut tokenizer) = (None, None);
    // Cargo itself passes `--bench`.
    let mut typed = std::env::args_os().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = typed.next() {
        match argument.to_str() {
            Some("--datasets") => datasets = typed.next().map(PathBuf::from),
            Some("--tokenizer") => tokenizer = typed.next().map(PathBuf::from),
            _ => return None,
        }
    }
    Some(Arguments { datasets: datasets?, tokenizer: tokenizer? })
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        println!(
            "NOT MEASURED: give the datasets and a tokenizer:\n  \
             cargo bench --bench preparing -- --datasets DIR --tokenizer FILE"
        );
        return ExitCode::SUCCESS;
    };
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("NOT MEASURED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Adds the time that `work` takes to `sum`.
fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let clock = Instant::now();
    let result = work();
    *sum += clock.elapsed();
    result
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    println!("{} threads, {}", rayon::current_num_threads(), arguments.tokenizer.display());
    let mut together = Duration::ZERO;
    let total = timed(&mut together, || as_the_command_does(arguments))?;

    let mut loading = Duration::ZERO;
    let tokenizer = timed(&mut loading, || Tokenizer::from_file(&arguments.tokenizer))?;
    if !tokenizer.encodes_parts() {
        println!("this tokenizer's texts have no cuts: everything is encoded whole");
    }
    let store = DatasetStore::new(Some(arguments.datasets.clone()))?;
    let tasks = tasks()?;
    let (mut reading, mut building) = (Duration::ZERO, Duration::ZERO);
    let (mut tokenising, mut planning) = (Duration::ZERO, Duration::ZERO);
    let options = PromptOptions::default();
    let mut built = Vec::new();
    for task in tasks {
        timed(&mut reading, || read(&store, &task))?;
        let requests: TaskRequests = timed(&mut building, || prompt::build(&task, &store, &options))?;
        let marks = Marks::new(&tokenizer, task.text_begin)?;
        let tokens = timed(&mut tokenising, || encode_requests(&tokenizer, &marks, &requests.documents))?;
        let scorer = Scorer::for_task(&task)?;
        let text_begin = TextBeginRecord { add_bos_token: false, overridden: false, empty_context: None };
        built.push(BuiltTask { task, scorer, requests, tokens, text_begin });
    }
    let fitted = timed(&mut planning, || fit_all(built, LIMITS))?;
    let planned = timed(&mut planning, || RunPlan::new(&open(&fitted), usize::MAX).map(|plan| plan.total))?;
    if planned != total {
        return Err(format!("two plans of the same: {planned:?}, {total:?}").into());
    }

    let documents: usize = fitted.iter().map(|task| task.sequences.len()).sum();
    let tokens: usize = fitted.iter().map(tokens_of).sum();
    let row = |name: &str, time: Duration| println!("{name:<28}{:>8.2} s", time.as_secs_f64());
    row("loading the tokenizer", loading);
    row("reading datasets", reading);
    row("building prompts", building);
    row("tokenising", tokenising);
    row("planning", planning);
    row("one after the other", loading + reading + building + tokenising + planning);
    row("as `assay plan` does it", together);
    println!(
        "{documents} documents, {} requests, {tokens} tokens in contexts and continuations: {:.0} tokens a second tokenised",
        planned.requests,
        tokens as f64 / tokenising.as_secs_f64()
    );
    println!("{} tokens alone, {} planned", planned.tokens_alone, planned.tokens_planned);
    compare(&fitted, &tokenizer, tokenising, documents)
}

fn tasks() -> Result<Vec<Task>, Failure> {
    Ok(TaskIndex::load(&[])?.select(&["all".to_string()])?.tasks)
}

/// All stages with several tasks at once, and the plan of each task as well as that of all.
fn as_the_command_does(arguments: &Arguments) -> Result<Plan, Failure> {
    let tokenizer = Tokenizer::from_file(&arguments.tokenizer)?;
    let store = DatasetStore::new(Some(arguments.datasets.clone()))?;
    let built = build_all(tasks()?, &store, &PromptOptions::default(), &tokenizer, &|| false)?;
    let fitted = fit_all(built, LIMITS)?;
    let total = run_costs(&open(&fitted), usize::MAX)?.total;
    Ok(total)
}

/// The tasks, with no request answered yet.
fn open(tasks: &[FittedTask]) -> Vec<AnsweredTask<'_>> {
    tasks.iter().map(AnsweredTask::new).collect()
}

/// Reads the rows that a task needs; the store caches them.
fn read(store: &DatasetStore, task: &Task) -> Result<(), Failure> {
    let splits: HashSet<&str> = task.evaluation_split().into_iter().chain(task.fewshot_split()).collect();
    for split in splits {
        store.split(&task.dataset, split)?;
    }
    Ok(())
}

/// Number of tokens of a task's contexts, each counted once, and of its continuations.
fn tokens_of(task: &FittedTask) -> usize {
    task.sequences.iter().map(|document| tokens_of_document(document)).sum()
}

fn tokens_of_document(document: &[Sequence]) -> usize {
    let mut seen = HashSet::new();
    let contexts = document.iter().map(|sequence| sequence.request().context());
    let contexts = contexts.filter(|context| seen.insert(context.as_ptr()));
    contexts.map(|context| context.len()).sum::<usize>()
        + document.iter().map(|sequence| sequence.targets().len()).sum::<usize>()
}

/// Encodes every [`SAMPLED`]th document the plain way, and checks the tokens against those of `fitted`.
fn compare(
    fitted: &[FittedTask],
    tokenizer: &Tokenizer,
    tokenising: Duration,
    documents: usize,
) -> Result<(), Failure> {
    let all = fitted.iter().flat_map(|task| task.requests.documents.iter().zip(&task.sequences));
    let sample: Vec<(&DocumentRequests, &Vec<Sequence>)> = all.step_by(SAMPLED).collect();
    let mut time = Duration::ZERO;
    let plain: Vec<Plain> = timed(&mut time, || {
        sample.par_iter().map(|(document, _)| plain(tokenizer, document)).collect::<Result<_, _>>()
    })?;
    for ((document, tokens), plain) in sample.iter().zip(&plain) {
        let equal = tokens.iter().map(Sequence::request).zip(plain).all(|(request, (head, rest))| {
            request.context()[..] == head[..] && request.continuation() == rest
        });
        if !equal || tokens.len() != plain.len() {
            return Err(
                format!("{} document {}: other tokens than plainly", document.task, document.doc_id).into()
            );
        }
    }
    let each = |time: Duration, documents: usize| time.as_secs_f64() / documents as f64;
    let (ours, theirs) = (each(tokenising, documents), each(time, sample.len()));
    println!(
        "sample of {} documents, the plain way: {:.2} ms a document, {:.3} ms as above; ratio {:.1}, tokens equal",
        sample.len(),
        1e3 * theirs,
        1e3 * ours,
        theirs / ours
    );
    Ok(())
}

/// Context and continuation of each request.
type Plain = Vec<(Vec<u32>, Vec<u32>)>;

fn plain(tokenizer: &Tokenizer, document: &DocumentRequests) -> Result<Plain, String> {
    let encode = |text: &str| tokenizer.encode(text).map_err(|error| error.to_string());
    let mut encoded = Vec::new();
    for request in &document.requests {
        encoded.push(match request {
            Request::Loglikelihood { context, continuation } => {
                let head = encode(rstrip(context))?;
                let whole = encode(&format!("{context}{continuation}"))?;
                let rest = whole[head.len().min(whole.len())..].to_vec();
                (head, rest)
            }
            Request::GenerateUntil { context, .. } => (encode(context)?, Vec::new()),
        });
    }
    Ok(encoded)
}

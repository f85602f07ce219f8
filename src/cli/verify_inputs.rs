//! Checks the inputs of a run, as far as they are available: weights, tokenizer, task files, datasets,
//! prompts, tokens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::findings::{Findings, Verdict, given_or, one_line};
use crate::dataset::DatasetStore;
use crate::engine::{CODE, RequestLimits};
use crate::evaluate::{BuiltTask, Digests, FittedTask};
use crate::model::{GgufMetadata, LoadError, ModelConfig, ModelFiles, config_of};
use crate::session::{ModelSource, tokenizer_of};
use crate::store::{FileHashes, RecordedRun, Sample, TaskSamples, split_json};
use crate::task::TaskIndex;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Fingerprint;

/// Where the inputs of a run are now.
#[derive(Debug, Args)]
pub struct InputPlaces {
    /// Where the datasets are now; where the run found them without it
    #[arg(long, value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// Where task files of your own are now (repeatable)
    #[arg(long, value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// Where the model is now
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Where the tokenizer is now
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
}

/// The folders of the user's own task files.
pub fn include(places: &InputPlaces, run: &RecordedRun) -> Vec<PathBuf> {
    if !places.include.is_empty() {
        return places.include.clone();
    }
    let recorded = run.get(&["include"]).as_array().into_iter().flatten();
    // A folder that is gone shows up through its tasks, which are then unknown.
    recorded
        .filter_map(|folder| folder.as_str())
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Checks every hash whose input is available.
pub fn check(
    places: &InputPlaces,
    run: &RecordedRun,
    index: &TaskIndex,
    samples: &[TaskSamples],
    findings: &mut Findings,
) {
    let source = source(places, run);
    let files = source.as_ref().ok().map(|source| ModelFiles::open(&source.path));
    let config = match (&source, &files) {
        (Ok(source), Some(files)) => {
            check_weights(files, run, findings);
            // If weights are damaged, the configuration may still be readable.
            let config = match files {
                Ok(files) => Ok(files.config().clone()),
                Err(_) => config_of(&source.path),
            };
            check_config(&config, run, findings);
            config.ok()
        }
        (source, _) => {
            let why = source.as_ref().err().cloned().unwrap_or_default();
            findings.add("weights", Verdict::Unchecked(why));
            None
        }
    };
    let files = files.as_ref().and_then(|files| files.as_ref().ok());
    let metadata = files.and_then(ModelFiles::gguf_metadata);
    let mut tokenizer = tokenizer(places, run, source.as_ref().ok(), metadata, findings);
    if let (Some(tokenizer), Some(config)) = (&mut tokenizer, &config) {
        let mut end = config.eos_token_ids.clone();
        // As a run does: the configuration names it where the tokenizer does not.
        tokenizer.end_of_text = tokenizer.end_of_text.or(config.eos_token_ids.first().copied());
        end.extend(tokenizer.end_of_text);
        findings.same("tokens that end a text", run.get(&["end_of_text"]), &json!(end));
    }
    let store = store(places, run);
    let samples: HashMap<&str, &Vec<Sample>> = samples.iter().map(|(name, lines)| (&**name, lines)).collect();
    let options = run.prompt_options();
    for (name, record) in run.tasks() {
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let task = match index.recorded(name, text("task_files_blake3")) {
            Ok(Some(task)) => task,
            Ok(None) => {
                findings.add_of("task file", name, Verdict::Unchecked("it is a group here".into()));
                continue;
            }
            Err(error) => {
                findings.add_of("task file", name, Verdict::Unchecked(one_line(&error)));
                continue;
            }
        };
        findings.hash_of("task file", name, text("task_files_blake3"), &task.fingerprint.to_string());
        let what = "dataset, prompts and tokens";
        let (store, tokenizer) = match (&store, &tokenizer) {
            (Ok(store), Some(tokenizer)) => (store, tokenizer),
            (Err(why), _) => {
                findings.add_of(what, name, Verdict::Unchecked(why.clone()));
                continue;
            }
            (_, None) => {
                findings.add_of(what, name, Verdict::Unchecked("the tokenizer cannot be had".into()));
                continue;
            }
        };
        let task = if run.has_views() { task.with_views() } else { task };
        match BuiltTask::build(task, store, &options, tokenizer) {
            Ok(built) => {
                let samples = samples.get(name).map(|lines| lines.as_slice());
                let mut of_task = Findings::default();
                check_task(name, record, &built, samples, &mut of_task);
                if let Some(config) = &config {
                    check_truncation(name, record, built, config, findings);
                }
                findings.0.extend(of_task.0);
            }
            Err(error) => findings.add_of(what, name, Verdict::Unchecked(one_line(&error))),
        }
    }
}

/// The model, if it is still where it was.
fn source(places: &InputPlaces, run: &RecordedRun) -> Result<ModelSource, String> {
    let builtin = run.get(&["model", "sample"]) == &Value::Bool(true);
    let path = given_or(places.model.as_deref(), run.text(&["model", "path"]).filter(|_| !builtin));
    match &path {
        Some(path) if !path.exists() => {
            Err(format!("{} is not there; give its new place with --model", path.display()))
        }
        path => ModelSource::find(path.as_deref()).map_err(|error| error.to_string()),
    }
}

fn check_weights(files: &Result<ModelFiles, LoadError>, run: &RecordedRun, findings: &mut Findings) {
    let recorded = run.hashes(&["model", "weights"]);
    let files = match files {
        Ok(files) => files.weight_files(),
        Err(error) => return findings.add("weights", Verdict::Differs(one_line(error))),
    };
    if files.len() != recorded.len() {
        let how = format!("{} files, recorded {}", files.len(), recorded.len());
        return findings.add("weights", Verdict::Differs(how));
    }
    // Read again, ignoring cached hashes: data on a disk can decay without a change of its metadata.
    match FileHashes::new(None).of(&files) {
        Ok(hashes) => {
            for ((path, recorded), (_, hash)) in recorded.iter().zip(hashes) {
                findings.hash(format!("weights {path}"), recorded, &hash.to_string());
            }
        }
        Err((path, error)) => {
            findings.add(format!("weights {}", path.display()), Verdict::Unchecked(error.to_string()));
        }
    }
}

fn check_config(config: &Result<ModelConfig, LoadError>, run: &RecordedRun, findings: &mut Findings) {
    let what = "configuration of the model";
    if run.text(&["numerics"]) != Some(CODE.as_str()) {
        return findings.add(what, Verdict::Unchecked("another build of assay read it".into()));
    }
    match config {
        Ok(config) => {
            let found = Fingerprint::of(format!("{config:?}").as_bytes()).to_string();
            findings.hash(what, run.text(&["model", "config_blake3"]).unwrap_or_default(), &found);
        }
        Err(error) => findings.add(what, Verdict::Differs(one_line(error))),
    }
}

fn tokenizer(
    places: &InputPlaces,
    run: &RecordedRun,
    source: Option<&ModelSource>,
    metadata: Option<&GgufMetadata>,
    findings: &mut Findings,
) -> Option<Tokenizer> {
    let recorded = run.text(&["tokenizer", "path"]).filter(|path| !path.starts_with("built-in/"));
    // A tokenizer beside the model may have moved with it.
    let beside =
        source.filter(|_| recorded.is_none_or(|path| places.model.is_some() || !Path::new(path).exists()));
    let found = match (&places.tokenizer, beside, recorded) {
        (Some(path), _, _) => tokenizer_of(path),
        (None, Some(source), _) => source.own_tokenizer(metadata),
        (None, None, Some(path)) => tokenizer_of(Path::new(path)),
        (None, None, None) => {
            findings.add("tokenizer", Verdict::Unchecked("give it with --tokenizer FILE".into()));
            return None;
        }
    };
    match found {
        Ok(tokenizer) => {
            let recorded = run.text(&["tokenizer", "blake3"]).unwrap_or_default();
            findings.hash("tokenizer", recorded, &tokenizer.fingerprint.to_string());
            Some(tokenizer)
        }
        Err(error) => {
            findings.add("tokenizer", Verdict::Unchecked(error.to_string()));
            None
        }
    }
}

fn store(places: &InputPlaces, run: &RecordedRun) -> Result<DatasetStore, String> {
    let root = given_or(places.datasets.as_deref(), run.text(&["datasets_folder"]));
    if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
        return Err(format!("{} is not there; give its new place with --datasets", root.display()));
    }
    // Rows that are not the hub's are allowed: they are compared with the record, which says whether they
    // were the run's.
    let store = DatasetStore::new(root).map(|store| store.allowing_changes(true));
    store.map_err(|error| one_line(&error))
}

fn check_task(
    name: &str,
    record: &Value,
    built: &BuiltTask,
    samples: Option<&[Sample]>,
    findings: &mut Findings,
) {
    let recorded = |key: &str| record[key].as_str().unwrap_or_default();
    let splits: Vec<Value> = built.splits().iter().map(split_json).collect();
    for (place, split) in splits.iter().enumerate() {
        let of = format!("{name}, `{}`", split["split"].as_str().unwrap_or_default());
        findings.same_of("rows", of, &record["datasets"][place], split);
    }
    let digests = Digests::of(built);
    findings.hash_of("prompts", name, recorded("prompts_blake3"), &digests.prompts.to_string());
    findings.hash_of("tokens", name, recorded("tokens_blake3"), &digests.tokens.to_string());
    let lists = |keys: &[&str]| keys.iter().map(|key| record[*key].clone()).collect::<Value>();
    let keys = ["lighteval", "available", "asked", "num_fewshot", "sample_data", "included"];
    let requests = &built.requests;
    let found = json!([
        digests.lighteval,
        requests.available,
        built.tokens.len(),
        requests.num_fewshot,
        requests.splits.iter().any(|(_, split)| split.is_sample()),
        built.task.included,
    ]);
    findings.same_of("lighteval's hashes, documents and shots", name, &lists(&keys), &found);
    // The right answers are not part of a prompt.
    let Some(samples) = samples else { return };
    let documents: HashMap<usize, _> = built.requests.documents.iter().map(|d| (d.doc_id, d)).collect();
    let other = samples.iter().find(|sample| {
        !documents.get(&sample.doc_id).is_some_and(|document| {
            document.row == sample.row
                && document.gold == sample.gold
                && document.choices == sample.choices
                && document.views == sample.views
                && document.requests.len() == sample.responses.len()
        })
    });
    findings.add_of(
        "choices and right answers",
        name,
        match other {
            None => Verdict::Same,
            Some(sample) => Verdict::Differs(format!("document {} is another in the dataset", sample.doc_id)),
        },
    );
}

/// Checks which requests are truncated to the model's context.
fn check_truncation(
    name: &str,
    record: &Value,
    built: BuiltTask,
    config: &ModelConfig,
    findings: &mut Findings,
) {
    let vocab_size = config.vocab_size;
    let limits = RequestLimits { vocab_size, ..RequestLimits::of_length(config.max_positions) };
    let what = "requests cut to the model's context";
    match FittedTask::fit(0, built, limits) {
        Ok(fitted) => {
            let count = fitted.truncated.len();
            let found = json!([count, fitted.truncated]);
            findings.same_of(what, name, &json!([record["truncated_requests"], record["truncated"]]), &found);
        }
        Err(error) => findings.add_of(what, name, Verdict::Differs(one_line(&error))),
    }
}

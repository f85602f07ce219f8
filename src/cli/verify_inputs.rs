//! What a run was made of, as far as it can be reached: weights, tokenizer, task files, datasets, prompts, tokens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::arguments::VerifyArguments;
use super::findings::{Findings, Verdict, given_or, in_a_line};
use super::model_files::{ModelSource, tokenizer_of};
use crate::dataset::DatasetStore;
use crate::evaluate::{Digests, Limits, Prepared, prepare};
use crate::model::{LoadError, ModelConfig, ModelFiles, config_of};
use crate::store::{FileHashes, NUMERICS, RecordedRun, Sample, TaskSamples, split_json};
use crate::task::TaskIndex;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Fingerprint;

/// The folders of the user's own task files.
pub fn include(arguments: &VerifyArguments, run: &RecordedRun) -> Vec<PathBuf> {
    if !arguments.include.is_empty() {
        return arguments.include.clone();
    }
    let recorded = run.get(&["include"]).as_array().into_iter().flatten();
    // A folder that is gone shows in its tasks, which are then unknown.
    recorded
        .filter_map(|folder| folder.as_str())
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Checks every hash that can be reached.
pub fn check(
    arguments: &VerifyArguments,
    run: &RecordedRun,
    index: &TaskIndex,
    samples: &[TaskSamples],
    findings: &mut Findings,
) {
    let source = source(arguments, run);
    let config = match &source {
        Ok(source) => {
            let files = ModelFiles::open(&source.path);
            check_weights(&files, run, findings);
            // Where weights are damaged the configuration may still be read.
            let config = files.map(|files| files.config().clone()).or_else(|_| config_of(&source.path));
            check_config(&config, run, findings);
            config.ok()
        }
        Err(why) => {
            findings.add("weights", Verdict::Unchecked(why.clone()));
            None
        }
    };
    let tokenizer = tokenizer(arguments, run, source.as_ref().ok(), findings);
    if let (Some(tokenizer), Some(config)) = (&tokenizer, &config) {
        let mut end = config.eos_token_ids.clone();
        end.extend(tokenizer.end_of_text.or(config.eos_token_ids.first().copied()));
        findings.same("tokens that end a text", run.get(&["end_of_text"]), &json!(end));
    }
    let store = store(arguments, run);
    let samples: HashMap<&str, &Vec<Sample>> = samples.iter().map(|(name, lines)| (&**name, lines)).collect();
    let options = run.prompt_options();
    for (name, record) in run.tasks() {
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let task = match index.select(&[name.to_string()]).map(|selection| selection.tasks) {
            Ok(mut tasks) if tasks.len() == 1 => tasks.remove(0),
            Ok(_) => {
                findings.add_of("task file", name, Verdict::Unchecked("it is a group here".into()));
                continue;
            }
            Err(error) => {
                findings.add_of("task file", name, Verdict::Unchecked(in_a_line(&error)));
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
        match prepare(task, store, &options, tokenizer) {
            Ok(mut prepared) => {
                if let Some(config) = &config {
                    check_truncation(name, record, &mut prepared, config, findings);
                }
                check_task(
                    name,
                    record,
                    &prepared,
                    samples.get(name).map(|lines| lines.as_slice()),
                    findings,
                );
            }
            Err(error) => findings.add_of(what, name, Verdict::Unchecked(in_a_line(&error))),
        }
    }
}

/// The model, if it is still where it was.
fn source(arguments: &VerifyArguments, run: &RecordedRun) -> Result<ModelSource, String> {
    let builtin = run.get(&["model", "sample"]) == &Value::Bool(true);
    let path = given_or(arguments.model.as_deref(), run.text(&["model", "path"]).filter(|_| !builtin));
    match &path {
        Some(path) if !path.exists() => {
            Err(format!("{} is not there; give its new place with --model", path.display()))
        }
        path => ModelSource::find(path.as_deref()).map_err(|failure| failure.message().to_string()),
    }
}

fn check_weights(files: &Result<ModelFiles, LoadError>, run: &RecordedRun, findings: &mut Findings) {
    let recorded = run.hashes(&["model", "weights"]);
    let files = match files {
        Ok(files) => files.weight_files(),
        Err(error) => return findings.add("weights", Verdict::Differs(in_a_line(error))),
    };
    if files.len() != recorded.len() {
        let how = format!("{} files, recorded {}", files.len(), recorded.len());
        return findings.add("weights", Verdict::Differs(how));
    }
    // Read again, whatever is known of them: disks forget, too.
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
    if run.text(&["numerics"]) != Some(NUMERICS.as_str()) {
        return findings.add(what, Verdict::Unchecked("another build of assay read it".into()));
    }
    match config {
        Ok(config) => {
            let found = Fingerprint::of(format!("{config:?}").as_bytes()).to_string();
            findings.hash(what, run.text(&["model", "config_blake3"]).unwrap_or_default(), &found);
        }
        Err(error) => findings.add(what, Verdict::Differs(in_a_line(error))),
    }
}

fn tokenizer(
    arguments: &VerifyArguments,
    run: &RecordedRun,
    source: Option<&ModelSource>,
    findings: &mut Findings,
) -> Option<Tokenizer> {
    let recorded = run.text(&["tokenizer", "path"]).filter(|path| !path.starts_with("built-in/"));
    // What stands beside the model may have moved with it.
    let beside =
        source.filter(|_| recorded.is_none_or(|path| arguments.model.is_some() || !Path::new(path).exists()));
    let found = match (&arguments.tokenizer, beside, recorded) {
        (Some(path), _, _) => tokenizer_of(path),
        (None, Some(source), _) => source.own_tokenizer(),
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
        Err(failure) => {
            findings.add("tokenizer", Verdict::Unchecked(failure.message().to_string()));
            None
        }
    }
}

fn store(arguments: &VerifyArguments, run: &RecordedRun) -> Result<DatasetStore, String> {
    let root = given_or(arguments.datasets.as_deref(), run.text(&["datasets_folder"]));
    if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
        return Err(format!("{} is not there; give its new place with --datasets", root.display()));
    }
    // Rows that are not the hub's are compared with the record, which says whether that is how it was.
    let store = DatasetStore::new(root).map(|store| store.allowing_changes(true));
    store.map_err(|error| in_a_line(&error))
}

fn check_task(
    name: &str,
    record: &Value,
    prepared: &Prepared,
    samples: Option<&[Sample]>,
    findings: &mut Findings,
) {
    let recorded = |key: &str| record[key].as_str().unwrap_or_default();
    let splits: Vec<Value> = prepared.splits().iter().map(split_json).collect();
    for (place, split) in splits.iter().enumerate() {
        let of = format!("{name}, `{}`", split["split"].as_str().unwrap_or_default());
        findings.same_of("rows", of, &record["datasets"][place], split);
    }
    let digests = Digests::of(prepared);
    findings.hash_of("prompts", name, recorded("prompts_blake3"), &digests.prompts.to_string());
    findings.hash_of("tokens", name, recorded("tokens_blake3"), &digests.tokens.to_string());
    let lists = |keys: &[&str]| keys.iter().map(|key| record[*key].clone()).collect::<Value>();
    let keys = ["lighteval", "available", "asked", "num_fewshot", "sample_data", "included"];
    let requests = &prepared.requests;
    let found = json!([
        digests.lighteval,
        requests.available,
        prepared.tokens.len(),
        requests.num_fewshot,
        requests.splits.iter().any(|(_, split)| split.is_sample()),
        prepared.task.included,
    ]);
    findings.same_of("lighteval's hashes, documents and shots", name, &lists(&keys), &found);
    // The right answers are no part of a prompt.
    let Some(samples) = samples else { return };
    let documents: HashMap<usize, _> = prepared.requests.documents.iter().map(|d| (d.doc_id, d)).collect();
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

/// The requests that the model's context cuts.
fn check_truncation(
    name: &str,
    record: &Value,
    prepared: &mut Prepared,
    config: &ModelConfig,
    findings: &mut Findings,
) {
    let limits = Limits {
        max_length: config.max_positions,
        vocab_size: config.vocab_size,
        room: usize::MAX,
        kv_bytes_per_token: 0,
    };
    let what = "requests cut to the model's context";
    match prepared.fit(limits) {
        Ok(()) => {
            let count = prepared.truncated.len();
            let found = json!([count, prepared.truncated]);
            findings.same_of(what, name, &json!([record["truncated_requests"], record["truncated"]]), &found);
        }
        Err(error) => findings.add_of(what, name, Verdict::Differs(in_a_line(&error))),
    }
}

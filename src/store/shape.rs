//! The shapes of a run's JSON files.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::vocabulary::{Fingerprint, Pin, SplitRecord, SuiteRecord, TaskRecord};

/// The model of a run, as its record shows it.
#[derive(Debug, Clone)]
pub struct ModelRecord {
    /// Its name.
    pub name: String,
    /// Where it was loaded from.
    pub path: String,
    /// Its architecture.
    pub architecture: String,
    /// Weights.
    pub parameters: u64,
    /// Number format computed in.
    pub dtype: String,
    /// Device computed on.
    pub device: String,
    /// What computed: the instructions of our own kernels, or `plain`.
    pub kernels: &'static str,
    /// Positions.
    pub max_length: usize,
    /// Weight files with their hashes.
    pub weights: Vec<(String, Fingerprint)>,
    /// Tokenizer file with its hash.
    pub tokenizer: (String, Fingerprint),
    /// Whether it is the built-in sample.
    pub sample: bool,
}

/// Everything about a run.
pub struct RunRecord<'a> {
    /// The command line.
    pub arguments: Vec<String>,
    /// The model.
    pub model: ModelRecord,
    /// The tasks.
    pub tasks: &'a [TaskRecord],
    /// The suite's line.
    pub suite: Option<SuiteRecord>,
    /// `--limit`.
    pub limit: Option<usize>,
    /// `--num-fewshot`.
    pub num_fewshot: Option<usize>,
    /// Threads.
    pub threads: usize,
    /// When it began.
    pub started: SystemTime,
    /// Named spans of time.
    pub spans: Vec<(&'static str, Duration)>,
    /// Counts of work, by name.
    pub work: Vec<(&'static str, usize)>,
    /// Whether it was stopped.
    pub interrupted: bool,
    /// The error that ended it.
    pub failed: Option<String>,
}

/// `results.json`: lm-evaluation-harness's shape, and the suite.
pub fn results_json(run: &RunRecord<'_>) -> Value {
    let (mut results, mut versions, mut shots, mut samples) =
        (Map::new(), Map::new(), Map::new(), Map::new());
    for task in run.tasks {
        let mut metrics = Map::new();
        let near_ties = task.near_ties();
        for (name, estimate) in &task.estimates {
            metrics.insert(name.clone(), estimate.value.into());
            metrics.insert(marked(name, "stderr"), estimate.stderr.map_or(Value::Null, Value::from));
            if let Some((_, count)) = near_ties.iter().find(|(metric, _)| metric == name) {
                metrics.insert(marked(name, "near_ties"), (*count).into());
            }
        }
        let name = task.task.to_string();
        results.insert(name.clone(), metrics.into());
        versions.insert(name.clone(), task.version.clone());
        shots.insert(name.clone(), task.num_fewshot.into());
        samples.insert(name, json!({"original": task.available, "effective": task.outcomes.len()}));
    }
    json!({
        "results": results,
        "versions": versions,
        "n-shot": shots,
        "n-samples": samples,
        "config": {
            "model": run.model.name,
            "model_path": run.model.path,
            "dtype": run.model.dtype,
            "device": run.model.device,
            "limit": run.limit,
            "num_fewshot": run.num_fewshot,
            "assay": env!("CARGO_PKG_VERSION"),
        },
        "suite": run.suite.as_ref().map(suite_json),
    })
}

/// 0.4 writes a chain's name behind the metric, and a mark before it.
fn marked(name: &str, mark: &str) -> String {
    match name.split_once(',') {
        Some((metric, chain)) => format!("{metric}_{mark},{chain}"),
        None => format!("{name}_{mark}"),
    }
}

fn suite_json(suite: &SuiteRecord) -> Value {
    let columns: Map<String, Value> = suite
        .columns
        .iter()
        .map(|(name, score)| (name.clone(), score.map_or(Value::Null, Value::from)))
        .collect();
    json!({
        "name": suite.suite,
        "title": suite.title,
        "unit": "percent",
        "columns": columns,
        "average": suite.average,
        "ranked": suite.unranked.is_empty(),
        "unranked_because": suite.unranked,
    })
}

fn split_json(split: &SplitRecord) -> Value {
    let mut record = json!({
        "id": split.id,
        "config": split.config,
        "split": split.split,
        "rows": split.rows,
        "files_blake3": split.files,
        "content_blake3": split.content,
        "pin": split.pin.word(),
    });
    match &split.pin {
        Pin::Changed { expected, rows } => {
            record["expected_content_blake3"] = json!(expected);
            record["expected_rows"] = (*rows).into();
        }
        Pin::Unpinned { reason, rows } => {
            record["unpinned_because"] = json!(reason);
            record["expected_rows"] = (*rows).into();
        }
        Pin::Same | Pin::Unknown | Pin::Sample => {}
    }
    record
}

/// `run.json`: what was run, on what, and what it cost.
pub fn run_json(run: &RunRecord<'_>) -> Value {
    let files = |list: &[(String, Fingerprint)]| -> Vec<Value> {
        list.iter().map(|(path, hash)| json!({"path": path, "blake3": hash})).collect()
    };
    let tasks: Map<String, Value> = run
        .tasks
        .iter()
        .map(|task| {
            let datasets: Vec<Value> = task.splits.iter().map(split_json).collect();
            let record = json!({
                "documents": task.outcomes.len(),
                "asked": task.asked,
                "available": task.available,
                "num_fewshot": task.num_fewshot,
                "task_files_blake3": task.file,
                "prompts_blake3": task.prompts,
                "tokens_blake3": task.tokens,
                "datasets": datasets,
                "sample_data": task.sample,
                "truncated_requests": task.truncated,
                "config": task.config,
            });
            (task.task.to_string(), record)
        })
        .collect();
    let seconds: Map<String, Value> =
        run.spans.iter().map(|(name, span)| (name.to_string(), span.as_secs_f64().into())).collect();
    let mut record = json!({
        "assay": env!("CARGO_PKG_VERSION"),
        "arguments": run.arguments,
        "started": humantime::format_rfc3339_seconds(run.started).to_string(),
        "seconds": seconds,
        "interrupted": run.interrupted,
        "failed": run.failed,
        "model": {
            "name": run.model.name,
            "path": run.model.path,
            "architecture": run.model.architecture,
            "parameters": run.model.parameters,
            "max_length": run.model.max_length,
            "sample": run.model.sample,
            "weights": files(&run.model.weights),
        },
        "tokenizer": {"path": run.model.tokenizer.0, "blake3": run.model.tokenizer.1},
        "dtype": run.model.dtype,
        "device": run.model.device,
        "kernels": run.model.kernels,
        "threads": run.threads,
        "tasks": tasks,
    });
    if let Some(fields) = record.as_object_mut() {
        for (name, count) in &run.work {
            fields.insert(name.to_string(), (*count).into());
        }
    }
    record
}

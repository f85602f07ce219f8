//! The formats of a run's JSON files.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::chat_record::chat_json;
use super::journal::{Session, SessionWork};
use super::model_record::ModelRecord;
use super::typed_command::TypedCommand;
use crate::evaluate::Digests;
use crate::prompt::ChatOptions;
use crate::vocabulary::{
    AddBosToken, EmptyContext, Fingerprint, GroupRecord, MergeRecipe, Pin, SplitRecord, SuiteRecord,
    TaskLimits, TaskRecord,
};

/// Everything about a run.
pub struct RunRecord<'a> {
    /// Its name: the one that it was given, or its model's.
    pub name: String,
    /// The recipe in the model's folder.
    pub merge: Option<MergeRecipe>,
    pub command: TypedCommand,
    pub model: ModelRecord,
    pub tasks: &'a [TaskRecord],
    /// Digests of the tasks' prompts and tokens, by task name; may include tasks without a finished document.
    pub digests: &'a [(Arc<str>, Digests)],
    /// The suite's scores.
    pub suite: Option<SuiteRecord>,
    /// The groups' scores.
    pub groups: &'a [GroupRecord],
    /// `--limit`.
    pub limits: TaskLimits,
    /// `--num-fewshot`.
    pub num_fewshot: Option<usize>,
    /// `--add-bos-token`.
    pub add_bos_token: Option<AddBosToken>,
    /// How prompts became conversations.
    pub chat: ChatOptions,
    /// Whether generations continued past their stops, for the tasks' other views of them.
    pub views: bool,
    /// The user's folder of datasets, if one was given.
    pub datasets: Option<String>,
    /// The user's folders of task files.
    pub include: Vec<String>,
    /// See [`run_identity`](super::identity::run_identity).
    pub identity: &'a Value,
    pub threads: usize,
    /// When this session began.
    pub started: SystemTime,
    /// Named spans of time of this session.
    pub spans: Vec<(&'static str, Duration)>,
    /// Earlier sessions of the run.
    pub earlier: &'a [Session],
    /// What this session cost.
    pub session: SessionWork,
    /// Where the answers of the run come from.
    pub answered: Answers,
    /// Counts of work of this session, by name.
    pub work: Vec<(&'static str, usize)>,
    /// Tokens that were left to compute when this session began.
    pub tokens_planned: usize,
    pub interrupted: bool,
    /// The error that ended it.
    pub failed: Option<String>,
    /// Hashes of the files beside `run.json`, by name.
    pub files: Vec<(String, Fingerprint)>,
}

/// Where the answers of a run come from.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Answers {
    /// Requests of the run.
    pub requests: usize,
    /// Answered by the model for this run, in all sessions.
    pub computed: usize,
    /// Answered by the model for other runs, and taken from the response cache in any session.
    pub from_cache: usize,
    /// Those of both kinds that were in the journal when this session began.
    pub kept_before: usize,
}

/// `results.json`: lm-evaluation-harness's format, plus the suite.
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
    let mut all = json!({
        "results": results,
        "versions": versions,
        "n-shot": shots,
        "n-samples": samples,
        "config": {
            "model": run.model.engine.name,
            "model_path": run.model.engine.location,
            "dtype": run.model.engine.numerics.dtype,
            "device": run.model.engine.numerics.device,
            "limit": run.limits,
            "num_fewshot": run.num_fewshot,
            "assay": env!("CARGO_PKG_VERSION"),
        },
        "suite": run.suite.as_ref().map(suite_json),
    });
    if !run.groups.is_empty() {
        let name = |record: &GroupRecord| record.group.name.clone();
        let scores = run.groups.iter().map(|record| (name(record), group_json(record)));
        all["groups"] = scores.collect::<Map<_, _>>().into();
        let tasks = run.groups.iter().map(|record| (name(record), json!(record.group.tasks)));
        all["group_subtasks"] = tasks.collect::<Map<_, _>>().into();
    }
    all
}

/// A group's entry in `results.json`.
pub fn group_json(record: &GroupRecord) -> Value {
    let mut entry = Map::new();
    entry.insert("alias".into(), record.group.title.clone().into());
    for (metric, _, mean) in &record.scores {
        entry.insert(metric.clone(), mean.value.into());
        entry.insert(marked(metric, "stderr"), json!(mean.stderr));
    }
    entry.into()
}

/// The key for `mark` of a metric. lm-evaluation-harness 0.4 appends the filter chain's name to the metric's,
/// and puts a mark before it: `metric_mark,chain`.
pub fn marked(name: &str, mark: &str) -> String {
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

/// The entry of a split in `run.json`.
pub fn split_json(split: &SplitRecord) -> Value {
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
        Pin::Same | Pin::Own | Pin::Unknown | Pin::Sample => {}
    }
    record
}

/// `run.json`: what was run, on what, and what it cost.
pub fn run_json(run: &RunRecord<'_>) -> Value {
    let engine = &run.model.engine;
    let command = run.command.fields();
    let mut record = json!({
        "assay": env!("CARGO_PKG_VERSION"),
        "name": run.name,
        "numerics": engine.numerics.code,
        "arguments": command["arguments"],
        "directory": command["directory"],
        "started": rfc3339(run.started),
        "interrupted": run.interrupted,
        "failed": run.failed,
        "model": {
            "name": engine.name,
            "path": engine.location,
            "architecture": engine.architecture,
            "parameters": engine.parameters,
            "max_length": run.model.max_length,
            "sample": run.model.sample,
            "weights": engine.weights.as_deref().map(files_json),
            "config_blake3": engine.config,
        },
        "merge": run.merge,
        "tokenizer": {
            "path": run.model.tokenizer.0,
            "blake3": run.model.tokenizer.1,
            "allowed_though": run.model.tokenizer_faults,
        },
        "dtype": engine.numerics.dtype,
        "device": engine.numerics.device,
        "kernels": engine.numerics.kernels,
        "threads": run.threads,
        "limit": run.limits,
        "num_fewshot": run.num_fewshot,
        "add_bos_token": run.add_bos_token.map(AddBosToken::word),
        "chat": chat_json(&run.chat),
        "views": run.views,
        "datasets_folder": run.datasets,
        "include": run.include,
        "tasks": run.tasks.iter().map(|task| (task.task.to_string(), task_json(task, run))).collect::<Map<_, _>>(),
        "end_of_text": engine.end_of_text,
        "identity": run.identity,
        "files": files_json(&run.files),
    });
    if !run.groups.is_empty() {
        record["groups"] = run.groups.iter().map(|record| json!(record.group)).collect();
    }
    if let Some(fields) = record.as_object_mut() {
        fields.extend(cost_json(run));
        let seal = seal_of(fields);
        fields.insert("seal".into(), json!(seal));
    }
    record
}

/// Hash over all of `run.json` except the seal itself: editing the file by hand breaks it.
pub fn seal_of(fields: &Map<String, Value>) -> Fingerprint {
    let mut fields = fields.clone();
    fields.shift_remove("seal");
    Fingerprint::of(Value::Object(fields).to_string().as_bytes())
}

/// A time as RFC 3339 text; one before 1970, from a wrong clock, is shown as the start of 1970.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

fn files_json(files: &[(String, Fingerprint)]) -> Vec<Value> {
    files.iter().map(|(path, hash)| json!({"path": path, "blake3": hash})).collect()
}

fn task_json(task: &TaskRecord, run: &RunRecord<'_>) -> Value {
    let datasets: Vec<Value> = task.splits.iter().map(split_json).collect();
    let near_ties: Map<String, Value> =
        task.near_ties().into_iter().map(|(metric, count)| (metric.to_string(), count.into())).collect();
    let mut record = json!({
        "documents": task.outcomes.len(),
        "asked": task.asked,
        "available": task.available,
        "num_fewshot": task.num_fewshot,
        "included": task.included,
        "task_files_blake3": task.file,
        "datasets": datasets,
        "sample_data": task.sample,
        "near_ties": near_ties,
        "add_bos_token": task.text_begin.add_bos_token,
        "empty_context": task.text_begin.empty_context.map(EmptyContext::word),
        "truncated_requests": task.truncated.len(),
        "truncated": task.truncated,
        "config": task.config,
    });
    let digests = run.digests.iter().find(|(name, _)| *name == task.task).map(|(_, digests)| json!(digests));
    if let (Some(fields), Some(Value::Object(digests))) = (record.as_object_mut(), digests) {
        fields.extend(digests);
    }
    record
}

/// Time, memory and work of the run: of this session and of earlier ones.
fn cost_json(run: &RunRecord<'_>) -> Map<String, Value> {
    let seconds: Map<String, Value> =
        run.spans.iter().map(|(name, span)| (name.to_string(), span.as_secs_f64().into())).collect();
    let mut cost = Map::new();
    cost.insert("seconds".into(), seconds.into());
    cost.insert("answers".into(), json!(run.answered));
    for (name, count) in &run.work {
        cost.insert(name.to_string(), (*count).into());
    }
    let before = |count: fn(&SessionWork) -> usize| run.earlier.iter().map(|s| count(&s.work)).sum::<usize>();
    // An earlier session counts with what it computed, not with what it had planned: it may have been killed.
    let computed_before = before(|work| work.tokens_computed);
    cost.insert("tokens_planned".into(), (computed_before + run.tokens_planned).into());
    for (name, of) in [
        ("tokens_computed", (|work| work.tokens_computed) as fn(&SessionWork) -> usize),
        ("tokens_generated", |work| work.tokens_generated),
        ("tokens_drafted", |work| work.tokens_drafted),
        ("tokens_accepted", |work| work.tokens_accepted),
        ("passes", |work| work.passes),
    ] {
        cost.insert(name.into(), (before(of) + of(&run.session)).into());
    }
    let count = |name: &str| cost.get(name).and_then(Value::as_u64).unwrap_or(0);
    let generated = count("tokens_generated");
    // In each pass a sequence is fed the last generated token and its draft.
    let steps = generated - count("tokens_accepted").min(generated);
    let per_step = (steps > 0).then(|| generated as f64 / steps as f64);
    cost.insert("tokens_per_step".into(), json!(per_step));
    let all = || run.earlier.iter().map(|session| &session.work).chain([&run.session]);
    cost.insert("wall_seconds".into(), all().map(|work| work.seconds).sum::<f64>().into());
    // A session that was killed counts up to its last record, and not at all if it had none.
    let known = |of: fn(&SessionWork) -> Option<f64>| all().filter_map(of).reduce(|a, b| a + b);
    cost.insert("cpu_seconds".into(), json!(known(|work| work.cpu_seconds)));
    let peak = all().filter_map(|work| work.peak_memory_bytes).max();
    cost.insert("peak_memory_bytes".into(), json!(peak));
    cost.insert("earlier_sessions".into(), json!(run.earlier));
    cost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_is_no_reason_to_end() {
        let time = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
        assert_eq!(rfc3339(time), "1970-01-01T00:00:00Z");
    }
}

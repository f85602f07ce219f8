//! Files of other harnesses, written here in the shapes of lm-evaluation-harness 0.4.13 and of its commit b281b09, with the prompts that
//! `assay requests` prints.

use std::fs;
use std::path::{Path, PathBuf};

use assay::dataset::DatasetStore;
use assay::prompt::{self, PromptOptions};
use assay::task::{Task, TaskIndex};
use assay::vocabulary::{DocumentRequests, Gold, Request};
use serde_json::{Map, Value, json};

pub const DATE: &str = "2026-11-23T20-00-00.000000";

pub fn tasks() -> Vec<Task> {
    let index = TaskIndex::load(&[]).unwrap();
    let names: Vec<String> = index.tasks().map(|(name, _)| name.to_string()).collect();
    index.select(&names).unwrap().tasks.into_iter().map(Task::with_views).collect()
}

/// The documents of a task over the built-in samples.
pub fn documents(tasks: &[Task], name: &str) -> Vec<DocumentRequests> {
    let task = tasks.iter().find(|task| *task.name == *name).unwrap();
    let store = DatasetStore::new(None).unwrap();
    prompt::build(task, &store, &PromptOptions::default()).unwrap().documents
}

/// A line of 0.4's samples: `requests` of a document, with its row as `doc_id`.
pub fn sample(
    document: &DocumentRequests,
    requests: &[Request],
    target: Value,
    filter: &str,
    metrics: Value,
) -> Value {
    let arguments: Map<String, Value> = requests
        .iter()
        .enumerate()
        .map(|(place, request)| {
            let second = match request {
                Request::Loglikelihood { continuation, .. } => json!(continuation),
                Request::GenerateUntil { .. } => {
                    json!({"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": false})
                }
            };
            (format!("gen_args_{place}"), json!({"arg_0": request.context(), "arg_1": second}))
        })
        .collect();
    let mut line = json!({
        "doc_id": document.row, "doc": {}, "target": target, "arguments": arguments, "resps": [],
        "filtered_resps": ["18"], "filter": filter, "doc_hash": "0",
    });
    let names: Vec<&String> = metrics.as_object().unwrap().keys().collect();
    line["metrics"] = json!(names);
    line.as_object_mut().unwrap().extend(metrics.as_object().unwrap().clone());
    line
}

/// A task of 0.4: name, lines of samples and settings.
pub type Written = (&'static str, Vec<Value>, Value);

/// Writes 0.4's files into a folder below `folder`, as 0.4 does.
pub fn write_04(folder: &Path, tasks: &[Written]) -> PathBuf {
    let place = folder.join("some__model");
    fs::create_dir_all(&place).unwrap();
    let (mut results, mut configs, mut counts, mut shots) = (Map::new(), Map::new(), Map::new(), Map::new());
    for (name, lines, config) in tasks {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(place.join(format!("samples_{name}_{DATE}.jsonl")), text).unwrap();
        let ids: std::collections::BTreeSet<u64> =
            lines.iter().map(|l| l["doc_id"].as_u64().unwrap()).collect();
        counts.insert(name.to_string(), json!({"original": ids.len(), "effective": ids.len()}));
        shots.insert(name.to_string(), config["num_fewshot"].clone());
        configs.insert(name.to_string(), config.clone());
        let mut scores = json!({"alias": name});
        for line in lines {
            for metric in line["metrics"].as_array().unwrap() {
                let metric = metric.as_str().unwrap();
                let alike: Vec<f64> = lines
                    .iter()
                    .filter(|other| other["filter"] == line["filter"])
                    .filter_map(|other| other[metric].as_f64())
                    .collect();
                let mean = alike.iter().sum::<f64>() / alike.len() as f64;
                scores[format!("{metric},{}", line["filter"].as_str().unwrap())] = mean.into();
            }
        }
        results.insert(name.to_string(), scores);
    }
    let all = json!({
        "results": results, "configs": configs, "n-shot": shots, "n-samples": counts, "lm_eval_version": "0.4.13",
        "config": {"model": "hf", "model_args": {"pretrained": "some/model"}, "model_dtype": "torch.float32"},
    });
    let path = place.join(format!("results_{DATE}.json"));
    fs::write(&path, format!("{all:#}")).unwrap();
    path
}

/// ARC as 0.4 writes it, with our shots. Every third document is right.
pub fn arc(tasks: &[Task]) -> Written {
    let line = |document: &DocumentRequests| {
        let Gold::Index(gold) = document.gold else { panic!("no choice") };
        let right = f64::from(u8::from(document.row.is_multiple_of(3)));
        sample(document, &document.requests, json!(gold.to_string()), "none", json!({"acc": right}))
    };
    let mut lines: Vec<Value> = documents(tasks, "arc_challenge").iter().map(line).collect();
    lines.sort_by_key(|line| line["doc_id"].as_u64());
    ("arc_challenge", lines, json!({"num_fewshot": 25}))
}

/// What the harness before 0.4 writes of a task; `right` decides whether a document is right.
pub fn write_out(own: &[DocumentRequests], right: &dyn Fn(usize) -> bool) -> Vec<Value> {
    let entry = |document: &DocumentRequests| {
        let mut entry = json!({"doc_id": document.doc_id});
        for (place, request) in document.requests.iter().enumerate() {
            let (prompt, logit) = match request {
                Request::Loglikelihood { context, continuation } => {
                    (format!("{context}{continuation}"), json!(-1.5))
                }
                Request::GenerateUntil { context, .. } => {
                    (format!("{context}until"), json!(" The answer. #### 18"))
                }
            };
            entry[format!("prompt_{place}")] = prompt.into();
            entry[format!("logit_{place}")] = logit;
        }
        entry["truth"] = match &document.gold {
            Gold::Index(gold) => json!(gold),
            _ => json!("A long answer. #### 18"),
        };
        let value = if right(document.doc_id) { "1.0" } else { "0.0" };
        entry["acc"] = value.into();
        entry
    };
    own.iter().map(entry).collect()
}

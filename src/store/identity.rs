//! The identity of a run and of a model: everything that could change a result.
//!
//! Threads, passes and memory are not part of it: on the CPU, answers have the same bits whatever they are.

use serde_json::{Value, json};

use super::chat_record::chat_json;
use super::model_record::ModelRecord;
use crate::evaluate::{Digests, FittedTask};
use crate::prompt::PromptOptions;
use crate::vocabulary::Fingerprint;

/// What all answers of a model depend on. Facts that its engine cannot know are null.
pub fn model_identity(model: &ModelRecord) -> Value {
    let engine = &model.engine;
    let hashes = |weights: &Vec<(String, Fingerprint)>| -> Value {
        weights.iter().map(|(_, hash)| json!(hash)).collect()
    };
    let mut identity = json!({
        "weights": engine.weights.as_ref().map(hashes),
        "config": engine.config,
        "dtype": engine.numerics.dtype,
        "device": engine.numerics.device,
        "kernels": engine.numerics.kernels,
        "numerics": engine.numerics.code,
    });
    // Content identifies a model wherever it lies. Without it, only name and address tell two models apart.
    if engine.weights.is_none() {
        identity["name"] = json!(engine.name);
        identity["location"] = json!(engine.location);
    }
    identity
}

/// What all results of a run depend on, and its name: runs of different names have folders of their own.
pub fn run_identity(
    name: &str,
    model: &ModelRecord,
    tasks: &[(&FittedTask, &Digests)],
    prompts: &PromptOptions,
    views: bool,
    suite: Option<&str>,
) -> Value {
    let task = |(fitted, digests): &(&FittedTask, &Digests)| {
        json!({
            "task": fitted.task.name,
            "file": fitted.task.fingerprint,
            "included": fitted.task.included,
            "num_fewshot": fitted.requests.num_fewshot,
            "documents": fitted.sequences.len(),
            "requests": fitted.request_count(),
            "prompts": digests.prompts,
            "tokens": digests.tokens,
            "datasets": fitted.splits().iter().map(|split| json!([split.content, split.pin.word()])).collect::<Vec<_>>(),
        })
    };
    json!({
        "assay": env!("CARGO_PKG_VERSION"),
        "name": name,
        "model": model_identity(model),
        "tokenizer": model.tokenizer.1,
        "end_of_text": model.engine.end_of_text,
        "limit": prompts.limits,
        "num_fewshot": prompts.num_fewshot,
        "chat": chat_json(&prompts.chat),
        "views": views,
        "suite": suite,
        "tasks": tasks.iter().map(task).collect::<Vec<_>>(),
    })
}

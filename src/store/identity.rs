//! What makes a run this run, and a model this model: all that could change a result.
//!
//! Threads, passes and memory are not among it: on the CPU answers have the same bits whatever they are.

use serde_json::{Value, json};

use super::shape::ModelRecord;
use crate::evaluate::{Digests, Prepared};

/// A hash over the code that computes answers from tokens, and over what that is built on.
pub const NUMERICS: &str = env!("ASSAY_NUMERICS");

/// What all answers of a model depend on.
pub fn model_identity(model: &ModelRecord) -> Value {
    let weights: Vec<Value> = model.weights.iter().map(|(_, hash)| json!(hash)).collect();
    json!({
        "weights": weights,
        "config": model.config,
        "dtype": model.dtype,
        "device": model.device,
        "kernels": model.kernels,
        "numerics": NUMERICS,
    })
}

/// What all results of a run depend on.
pub fn run_identity(
    model: &ModelRecord,
    tasks: &[(&Prepared, &Digests)],
    limit: Option<usize>,
    num_fewshot: Option<usize>,
    suite: Option<&str>,
) -> Value {
    let task = |(prepared, digests): &(&Prepared, &Digests)| {
        json!({
            "task": prepared.task.name,
            "file": prepared.task.fingerprint,
            "included": prepared.task.included,
            "num_fewshot": prepared.requests.num_fewshot,
            "documents": prepared.tokens.len(),
            "requests": prepared.tokens.iter().map(Vec::len).sum::<usize>(),
            "prompts": digests.prompts,
            "tokens": digests.tokens,
            "datasets": prepared.splits().iter().map(|split| json!([split.content, split.pin.word()])).collect::<Vec<_>>(),
        })
    };
    json!({
        "assay": env!("CARGO_PKG_VERSION"),
        "name": model.name,
        "model": model_identity(model),
        "tokenizer": model.tokenizer.1,
        "limit": limit,
        "num_fewshot": num_fewshot,
        "suite": suite,
        "tasks": tasks.iter().map(task).collect::<Vec<_>>(),
    })
}

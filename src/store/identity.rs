//! What makes a run this run, and a model this model: all that could change a result.
//!
//! Threads, passes and memory are not among it: on the CPU answers have the same bits whatever they are.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::model_record::ModelRecord;
use crate::evaluate::{Digests, Prepared};
use crate::vocabulary::{Fingerprint, TaskLimits};

/// What computes answers from tokens: a hash over the code and what it is built on, and one over what the system's own functions
/// give for a few numbers, since those of two systems may differ in a last bit.
pub static NUMERICS: LazyLock<String> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    for step in 1..=64 {
        let x = f64::from(step) * 0.37;
        let single = x as f32;
        bytes.extend([10_000f64.powf(-x / 24.0), x.ln(), (-x).exp(), x.cos(), x.sin()].map(f64::to_bits));
        let singles =
            [10_000f32.powf(-single / 24.0), single.ln(), (-single).exp(), single.cos(), single.sin()];
        bytes.extend(singles.map(|number| u64::from(number.to_bits())));
    }
    let bytes: Vec<u8> = bytes.into_iter().flat_map(u64::to_le_bytes).collect();
    format!("{}-{:.8}", env!("ASSAY_NUMERICS"), Fingerprint::of(&bytes).to_string())
});

/// What all answers of a model depend on.
pub fn model_identity(model: &ModelRecord) -> Value {
    let weights: Vec<Value> = model.weights.iter().map(|(_, hash)| json!(hash)).collect();
    json!({
        "weights": weights,
        "config": model.config,
        "dtype": model.dtype,
        "device": model.device,
        "kernels": model.kernels,
        "numerics": *NUMERICS,
    })
}

/// What all results of a run depend on.
pub fn run_identity(
    model: &ModelRecord,
    tasks: &[(&Prepared, &Digests)],
    limits: &TaskLimits,
    num_fewshot: Option<usize>,
    views: bool,
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
        "end_of_text": model.end_of_text,
        "limit": limits,
        "num_fewshot": num_fewshot,
        "views": views,
        "suite": suite,
        "tasks": tasks.iter().map(task).collect::<Vec<_>>(),
    })
}

//! Reference models, real models, and passes over them.

use std::path::Path;
use std::sync::Mutex;

use assay::model::{
    DeviceChoice, DtypeChoice, Kernels, KvCache, LoadError, LoadOptions, Model, Row, Segment, SegmentId,
};

pub use crate::material::{model as real_model, shared};

/// Loads on the CPU.
pub fn load(path: &Path, dtype: DtypeChoice) -> Result<Model, LoadError> {
    load_with(path, dtype, Kernels::Fast)
}

/// Loads on the CPU, with these kernels.
pub fn load_with(path: &Path, dtype: DtypeChoice, kernels: Kernels) -> Result<Model, LoadError> {
    Model::load(path, LoadOptions { dtype, device: DeviceChoice::Cpu, kernels })
}

/// A reference sequence of `golden/arch`.
pub struct Sequence {
    pub ids: Vec<u32>,
    pub last_logits: Vec<f32>,
    /// Over the ids after the first.
    pub sum_logprob: Option<f64>,
}

/// The models of `golden/arch` with their sequences; empty if the folder is missing.
pub fn references() -> Vec<(String, Model, Vec<Sequence>)> {
    references_in(DtypeChoice::Auto, Kernels::Fast)
}

/// The same in every number format with our own kernels, and in single precision with the plain ones. The
/// `f32` is the largest difference that cutting a sequence into segments may make.
pub fn references_in_all() -> Vec<(String, Model, Vec<Sequence>, f32)> {
    let all = [
        (DtypeChoice::F32, Kernels::Fast, 0.0),
        (DtypeChoice::Bf16, Kernels::Fast, 0.0),
        (DtypeChoice::F16, Kernels::Fast, 0.0),
        (DtypeChoice::F32, Kernels::Plain, 1e-5),
    ];
    let named = |(dtype, kernels, tolerance)| {
        references_in(dtype, kernels).into_iter().map(move |(name, model, sequences)| {
            (format!("{name} in {dtype:?}, {kernels:?}"), model, sequences, tolerance)
        })
    };
    all.into_iter().flat_map(named).collect()
}

fn references_in(dtype: DtypeChoice, kernels: Kernels) -> Vec<(String, Model, Vec<Sequence>)> {
    let Some(folder) = shared("golden/arch") else { return Vec::new() };
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 5);
    names
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(path.join("expected.json")).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let sequences = value.as_array().unwrap().iter().map(|sequence| Sequence {
                ids: serde_json::from_value(sequence["ids"].clone()).unwrap(),
                last_logits: serde_json::from_value(sequence["last_logits"].clone()).unwrap(),
                sum_logprob: sequence["sum_logprob"].as_f64(),
            });
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, load_with(&path, dtype, kernels).unwrap(), sequences.collect())
        })
        .collect()
}

pub fn segment(id: usize, prefix: &[usize], tokens: &[u32]) -> Segment {
    Segment {
        id: SegmentId(id),
        prefix: prefix.iter().copied().map(SegmentId).collect(),
        tokens: tokens.to_vec(),
    }
}

/// Logits of every row of the pass, in order.
pub fn all_logits(model: &Model, segments: &[Segment], kv: &mut KvCache) -> Vec<Vec<f32>> {
    let wanted: Vec<Row> = segments
        .iter()
        .enumerate()
        .flat_map(|(segment, s)| (0..s.tokens.len()).map(move |token| Row { segment, token }))
        .collect();
    logits(model, segments, &wanted, kv)
}

/// Logits of the wanted rows.
pub fn logits(model: &Model, segments: &[Segment], wanted: &[Row], kv: &mut KvCache) -> Vec<Vec<f32>> {
    let rows: Vec<Mutex<Option<Vec<f32>>>> = wanted.iter().map(|_| Mutex::default()).collect();
    let read = |index: usize, logits: &[f32]| {
        let before = rows[index].lock().unwrap().replace(logits.to_vec());
        assert!(before.is_none(), "row {index} is read once");
    };
    model.forward(segments, wanted, kv, &read).unwrap();
    rows.into_iter().map(|row| row.into_inner().unwrap().expect("every row is read")).collect()
}

/// Logits after every token of a sequence computed alone.
pub fn alone(model: &Model, ids: &[u32]) -> Vec<Vec<f32>> {
    all_logits(model, &[segment(0, &[], ids)], &mut model.kv_cache())
}

/// Summed log-probability of the ids after the first.
pub fn sum_logprob(rows: &[Vec<f32>], ids: &[u32]) -> f64 {
    rows.iter().zip(&ids[1..]).map(|(row, &id)| log_softmax(row, id)).sum()
}

/// Log-probability of an id after a row.
pub fn log_softmax(row: &[f32], id: u32) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    let sum: f64 = row.iter().map(|&n| (n as f64 - max).exp()).sum();
    row[id as usize] as f64 - max - sum.ln()
}

/// The largest difference between two rows.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Checks that all rows agree within `tolerance`.
pub fn assert_same(what: &str, found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = difference(found, expected);
        assert!(difference <= tolerance, "{what}: row {row} differs by {difference}");
        // With tolerance 0 not even the sign of a zero may differ.
        let same_bits = || found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(tolerance > 0.0 || same_bits(), "{what}: row {row} has other bits");
    }
}

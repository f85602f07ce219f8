//! Runs of a merge and of its two parents: the built-in sample model with noise on its weights, and the mean of both.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use assay::statistics::Random;
use assay::vocabulary::Fingerprint;
use serde_json::Value;
use tempfile::TempDir;

use super::{assay, repository, stderr};

/// A folder with the models `merge`, `a` and `b`, and their runs over all sample documents in `runs/`.
pub static FAMILY: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (a, b) = (noisy(1), noisy(2));
    let mean: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect();
    for (name, weights) in [("a", a), ("b", b), ("merge", mean)] {
        write_model(&place.join(name), &weights);
        evaluate(place, name, &format!("runs/{name}"), &["--tasks", "all"]);
    }
    folder
});

/// Runs `assay eval` of a model in `place`.
pub fn evaluate(place: &Path, model: &str, output: &str, more: &[&str]) {
    let job = ["eval", "--samples", "--model", model, "--output", output, "--no-cache"];
    let output = assay(place).args(job).args(more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// `assay compare` in the folder of the family.
pub fn compare(arguments: &[&str]) -> Output {
    assay(FAMILY.path()).arg("compare").args(arguments).output().unwrap()
}

fn weights_file() -> (Vec<u8>, usize) {
    let bytes = std::fs::read(repository("sample_model/model.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (bytes, 8 + header)
}

fn noisy(seed: u64) -> Vec<f32> {
    let (bytes, begin) = weights_file();
    let mut random = Random::new(seed);
    let numbers = bytes[begin..].chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    // Noise with a standard deviation of 0.12: enough to change some answers.
    numbers.map(|number| number * (1.0 + 0.416 * (random.unit() as f32 - 0.5))).collect()
}

fn write_model(folder: &Path, weights: &[f32]) {
    std::fs::create_dir(folder).unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(repository("sample_model").join(file), folder.join(file)).unwrap();
    }
    let (mut bytes, begin) = weights_file();
    bytes.truncate(begin);
    bytes.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
    std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
}

/// A copy of a run, outside the family's folder, for tests that change it.
pub fn copy_of(run: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    copy_folder(&FAMILY.path().join(run), &copy);
    (folder, copy)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes a run's record one of its files as they are now, as if the run had written them.
pub fn record_again(run: &Path) {
    let path = run.join("run.json");
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for file in record["files"].as_array_mut().unwrap() {
        let bytes = std::fs::read(run.join(file["path"].as_str().unwrap())).unwrap();
        file["blake3"] = Fingerprint::of(&bytes).to_string().into();
    }
    let seal = assay::store::seal_of(record.as_object().unwrap());
    record["seal"] = seal.to_string().into();
    std::fs::write(&path, format!("{record:#}\n")).unwrap();
}

//! Truncated or changed files give a clear error or a result, never a panic, never an invented number.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::{assay, repository, stderr, stdout};
use crate::model::small_files::{gguf, gguf_metadata, gguf_tensors};

/// Success, or one line that names the fault and a hint, with the exit code of bad input or damaged files.
fn assert_ends_well(output: &Output, what: &str) {
    let said = stderr(output);
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{what}: {said}");
    if output.status.code() == Some(0) {
        return;
    }
    assert!(matches!(output.status.code(), Some(2 | 3)), "{what}: {:?} {said}", output.status);
    let mut lines = said.lines().skip_while(|line| !line.starts_with("error: "));
    assert!(lines.next().is_some_and(|line| line.len() > 15), "{what}: {said}");
    assert!(lines.next().is_some_and(|line| line.starts_with("hint: ") && line.len() > 10), "{what}: {said}");
    assert_eq!(lines.next(), None, "{what}: {said}");
}

/// Runs `command` with `path` truncated and changed at `count` positions of its first `reach` bytes.
fn with_damage(path: &Path, reach: usize, count: usize, command: impl Fn() -> Output) {
    let whole = std::fs::read(path).unwrap();
    let reach = reach.min(whole.len());
    let step = (reach / count).max(1);
    for (number, at) in (0..reach).step_by(step).chain([whole.len() - 1]).enumerate() {
        std::fs::write(path, &whole[..at]).unwrap();
        assert_ends_well(&command(), &format!("{} cut off at {at}", path.display()));
        let mut changed = whole.clone();
        changed[at] ^= [0x01, 0x10, 0x80, 0xff, 0x03][number % 5];
        std::fs::write(path, changed).unwrap();
        assert_ends_well(&command(), &format!("{} changed at {at}", path.display()));
    }
    std::fs::write(path, whole).unwrap();
    let output = command();
    assert_ends_well(&output, "whole");
}

fn sample_model(folder: &Path) -> PathBuf {
    let model = folder.join("model");
    std::fs::create_dir(&model).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(repository("sample_model").join(name), model.join(name)).unwrap();
    }
    model
}

fn eval(folder: &Path, arguments: &[&str]) -> Output {
    let always = [
        "eval",
        "--samples",
        "--tasks",
        "winogrande",
        "--limit",
        "1",
        "--num-fewshot",
        "0",
        "--output",
        "out",
    ];
    let output = assay(folder).args(always).args(arguments).output().unwrap();
    let _ = std::fs::remove_dir_all(folder.join("out"));
    output
}

#[test]
fn safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample_model(folder.path()).join("model.safetensors");
    let header = 3_200;
    with_damage(&path, header, 24, || eval(folder.path(), &["--model", "model"]));
    with_damage(&path, usize::MAX, 12, || eval(folder.path(), &["--model", "model"]));
}

#[test]
fn gguf_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    std::fs::write(&path, gguf(&gguf_metadata(), &gguf_tensors())).unwrap();
    let tokenizer = repository("sample_model/tokenizer.json");
    let arguments = ["--model", "small.gguf", "--tokenizer", tokenizer.to_str().unwrap()];
    with_damage(&path, usize::MAX, 40, || eval(folder.path(), &arguments));
}

#[test]
fn tokenizers_and_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let model = sample_model(folder.path());
    for (name, count) in [("tokenizer.json", 40), ("tokenizer_config.json", 10), ("config.json", 20)] {
        with_damage(&model.join(name), usize::MAX, count, || eval(folder.path(), &["--model", "model"]));
    }
}

/// A task over `file`, whose rows have a column `q`.
fn task(file: &str) -> String {
    format!(
        "task: one\ndataset_path: parquet\ndataset_kwargs:\n  data_files: {{test: {file}}}\noutput_type: generate_until\n\
         test_split: test\ndoc_to_text: \"{{{{q}}}} {{{{[n, x]}}}}\"\ndoc_to_target: \"{{{{n + 1}}}}\"\n"
    )
}

fn shown(folder: &Path) -> Output {
    assay(folder).args(["tasks", "one", "--include", "."]).output().unwrap()
}

#[test]
fn parquet() {
    for name in ["plain", "snappy", "zstd", "groups"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        std::fs::copy(repository("fuzz/seeds/parquet").join(name), &path).unwrap();
        std::fs::write(folder.path().join("one.yaml"), task("rows.parquet")).unwrap();
        let whole = shown(folder.path());
        assert!(whole.status.success() && stdout(&whole).contains("why? [1, 0.5]"), "{}", stderr(&whole));
        with_damage(&path, usize::MAX, 60, || shown(folder.path()));
    }
}

#[test]
fn task_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(repository("fuzz/seeds/parquet/plain"), folder.path().join("rows.parquet")).unwrap();
    let path = folder.path().join("one.yaml");
    std::fs::write(&path, task("rows.parquet")).unwrap();
    with_damage(&path, usize::MAX, 110, || shown(folder.path()));
}

/// Fills `tensor` of a safetensors file with `byte`.
fn fill(path: &Path, tensor: &str, byte: u8) {
    let mut file = std::fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..start]).unwrap();
    let [begin, end] = [0, 1].map(|i| header[tensor]["data_offsets"][i].as_u64().unwrap() as usize);
    file[start + begin..start + end].fill(byte);
    std::fs::write(path, file).unwrap();
}

#[test]
fn not_a_number_in_one_layer_gives_no_number() {
    for tensor in ["mlp.down_proj", "self_attn.k_proj", "self_attn.v_proj", "input_layernorm"] {
        for task in ["winogrande", "gsm8k"] {
            let folder = tempfile::tempdir().unwrap();
            let model = sample_model(folder.path());
            // All bits set is NaN in every number format.
            fill(&model.join("model.safetensors"), &format!("model.layers.1.{tensor}.weight"), 0xff);
            let arguments =
                ["eval", "--samples", "--tasks", task, "--limit", "1", "--model", "model", "--output", "out"];
            let output = assay(folder.path()).args(arguments).output().unwrap();
            assert_ends_well(&output, tensor);
            assert_eq!(output.status.code(), Some(3), "{tensor}: {}", stderr(&output));
            assert!(stderr(&output).contains("not finite"), "{tensor}: {}", stderr(&output));
            assert_eq!(stdout(&output), "", "{tensor}");
            assert!(!folder.path().join("out/results.json").exists(), "{tensor}");
        }
    }
}

#[test]
fn a_text_that_never_ends_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let model = sample_model(folder.path());
    // Every logit is 0, so the first token is generated until the limit; it does not end a text.
    fill(&model.join("model.safetensors"), "lm_head.weight", 0);
    std::fs::copy(repository("fuzz/seeds/parquet/plain"), folder.path().join("rows.parquet")).unwrap();
    let file = task("rows.parquet") + "generation_kwargs: {until: [never], max_gen_toks: 7}\n";
    std::fs::write(folder.path().join("one.yaml"), file).unwrap();
    let arguments = [
        "eval",
        "--samples",
        "--tasks",
        "one",
        "--include",
        ".",
        "--limit",
        "1",
        "--model",
        "model",
        "--output",
        "out",
    ];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let line = std::fs::read_to_string(folder.path().join("out/samples/one.jsonl")).unwrap();
    let document: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(document["requests"][0]["num_tokens"], 7, "{line}");
}

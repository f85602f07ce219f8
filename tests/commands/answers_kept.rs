//! Answers are computed once: within a run's folder and across runs.

use serde_json::Value;
use std::path::Path;
use std::process::Output;

use super::kills::{results, run_json};
use super::{assay, stderr};

/// Runs `assay eval` in `folder` with one cache for all its runs.
fn eval(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = assay(folder);
    command.env("ASSAY_CACHE", folder.join("cache")).args(["eval", "--samples"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn count(folder: &Path, out: &str, name: &str) -> u64 {
    run_json(&folder.join(out))["answers"][name].as_u64().unwrap()
}

#[test]
fn a_complete_run_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--tasks", "winogrande,gsm8k", "--limit", "2", "--output", "out"];
    let first = eval(folder.path(), &arguments);
    let out = folder.path().join("out");
    let (run, written) = (std::fs::read(out.join("run.json")).unwrap(), results(&out));
    let again = eval(folder.path(), &arguments);
    assert_eq!(again.stdout, first.stdout);
    assert!(
        stderr(&again).ends_with("results in out: this run was complete already\n"),
        "{}",
        stderr(&again)
    );
    assert_eq!((std::fs::read(out.join("run.json")).unwrap(), results(&out)), (run, written.clone()));
    // Removed or changed files are written again, and the record keeps what the run cost.
    let cost = |run: &Value| {
        [&run["tokens_computed"], &run["passes"], &run["answers"]["computed"]].map(Value::clone)
    };
    let first = cost(&run_json(&out));
    for damage in [
        |out: &Path| std::fs::remove_file(out.join("results.json")),
        |out: &Path| std::fs::write(out.join("results.json"), b"{"),
        |out: &Path| std::fs::remove_dir_all(out.join("samples")),
        |out: &Path| std::fs::write(out.join("run.json"), b"{}"),
    ] {
        damage(&out).unwrap();
        eval(folder.path(), &arguments);
        assert_eq!(results(&out), written);
        assert_eq!(cost(&run_json(&out)), first);
        assert!(assay(folder.path()).args(["verify", "out"]).output().unwrap().status.success());
    }
}

#[test]
fn another_run_does_not_take_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    eval(folder.path(), &["--tasks", "winogrande", "--limit", "2", "--output", "out"]);
    let before = results(&folder.path().join("out"));
    for (arguments, difference) in [
        (["--limit", "3", "--tasks", "winogrande"], "limit: `2` there, `3` here"),
        (["--limit", "2", "--tasks", "gsm8k"], "tasks.0.task: `winogrande` there, `gsm8k` here"),
        (["--dtype", "bf16", "--tasks", "winogrande"], "model.dtype: `float32` there, `bfloat16` here"),
    ] {
        let mut command = assay(folder.path());
        let output =
            command.args(["eval", "--samples"]).args(arguments).args(["--output", "out"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = format!(
            "error: out: the folder holds another run: {difference}\nhint: a run goes on only with the command that began it, over the same files: name another folder with --output, or remove this one\n"
        );
        assert_eq!(stderr(&output), said);
    }
    assert_eq!(results(&folder.path().join("out")), before);
}

#[test]
fn a_task_more_and_a_higher_limit_compute_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    eval(folder, &["--tasks", "winogrande,gsm8k", "--limit", "2", "--output", "first"]);
    assert_eq!(count(folder, "first", "from_cache"), 0);
    let first = count(folder, "first", "requests");

    eval(folder, &["--tasks", "winogrande,gsm8k", "--limit", "2", "--output", "again"]);
    assert_eq!((count(folder, "again", "from_cache"), count(folder, "again", "computed")), (first, 0));
    assert_eq!(run_json(&folder.join("again"))["tokens_computed"], 0);
    assert_eq!(results(&folder.join("again")), results(&folder.join("first")));

    let more = ["--tasks", "winogrande,gsm8k,truthfulqa_mc", "--limit", "3"];
    eval(folder, &[&more[..], &["--output", "more"]].concat());
    assert_eq!(count(folder, "more", "from_cache"), first);
    eval(folder, &[&more[..], &["--output", "alone", "--no-cache"]].concat());
    assert_eq!(count(folder, "alone", "from_cache"), 0);
    assert_eq!(results(&folder.join("more")), results(&folder.join("alone")));

    // A different number format is a different model.
    let other = ["--tasks", "winogrande", "--limit", "2", "--dtype", "bf16", "--output", "other"];
    eval(folder, &other);
    assert_eq!(count(folder, "other", "from_cache"), 0);
}

#[test]
fn two_models_of_one_shape_share_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = folder.join("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(super::repository("sample_model")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
    }
    let job = ["--tasks", "arc_challenge", "--limit", "2", "--model", "model", "--output"];
    eval(folder, &[&job[..], &["one"]].concat());
    // The same file with one weight changed and its modification time restored.
    let weights = model.join("model.safetensors");
    let time = std::fs::metadata(&weights).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x80;
    std::fs::write(&weights, &bytes).unwrap();
    std::fs::File::options().append(true).open(&weights).unwrap().set_modified(time).unwrap();
    eval(folder, &[&job[..], &["two"]].concat());
    assert_eq!(count(folder, "two", "from_cache"), 0);
    // A key of the configuration that does not affect the weights file.
    let config = model.join("config.json");
    let mut other: Value = serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    other["rms_norm_eps"] = 0.01.into();
    std::fs::write(&config, other.to_string()).unwrap();
    eval(folder, &[&job[..], &["three"]].concat());
    assert_eq!(count(folder, "three", "from_cache"), 0);
    let loglikelihoods = |out: &str| results(&folder.join(out));
    assert_ne!(loglikelihoods("one"), loglikelihoods("two"));
    assert_ne!(loglikelihoods("two"), loglikelihoods("three"));
}

#[test]
fn damage_to_the_cache_is_told_and_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let job = ["--tasks", "winogrande", "--limit", "2", "--output"];
    eval(folder, &[&job[..], &["one"]].concat());
    let file = std::fs::read_dir(folder.join("cache/responses")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    // The damage is within an answer: an entry with a damaged key belongs to no request, and is not reported.
    let third: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(3).map(<[u8]>::len).sum();
    bytes[third - 20] ^= 4;
    std::fs::write(&file, &bytes).unwrap();
    let output = eval(folder, &[&job[..], &["two"]].concat());
    assert!(
        stderr(&output)
            .contains("warning: 1 damaged answers in the response cache are dropped, the first in line ")
    );
    assert_eq!(count(folder, "two", "computed"), 1, "the others stand for themselves");
    assert_eq!(results(&folder.join("one")), results(&folder.join("two")));
    eval(folder, &[&job[..], &["three"]].concat());
    assert_eq!(count(folder, "three", "computed"), 0);
}

#[test]
fn the_cache_holds_an_answer_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let lines = || {
        let file = std::fs::read_dir(folder.join("cache/responses")).unwrap().next().unwrap().unwrap().path();
        std::fs::read_to_string(file).unwrap().lines().count()
    };
    let job = ["--tasks", "winogrande", "--limit", "2", "--output", "out"];
    eval(folder, &job);
    let first = lines();
    // The run is shown again, written again, and repeated in another folder.
    eval(folder, &job);
    std::fs::remove_file(folder.join("out/results.json")).unwrap();
    eval(folder, &job);
    eval(folder, &["--tasks", "winogrande", "--limit", "2", "--output", "other"]);
    assert_eq!((first, lines()), (5, 5));
}

#[test]
fn what_other_runs_answered_stays_known_as_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    eval(folder, &["--tasks", "winogrande", "--limit", "2", "--output", "first"]);
    let job = ["--tasks", "winogrande", "--limit", "4", "--output", "second"];
    eval(folder, &job);
    // The state after a kill between the last answer and the results.
    let journal = folder.join("second/journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("{\"finished\"")).collect();
    std::fs::write(&journal, lines.join("\n") + "\n").unwrap();
    eval(folder, &job);
    assert_eq!((count(folder, "second", "from_cache"), count(folder, "second", "computed")), (4, 4));
    assert_eq!(count(folder, "second", "kept_before"), 8);
}

#[test]
fn tokens_that_end_a_text_are_part_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = folder.join("model");
    std::fs::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(super::repository("sample_model").join(file), model.join(file)).unwrap();
    }
    let job = ["--tasks", "gsm8k", "--limit", "2", "--model", "model", "--output"];
    eval(folder, &[&job[..], &["one"]].concat());
    std::fs::write(model.join("tokenizer_config.json"), br#"{"eos_token": "<unk>"}"#).unwrap();
    let job = [&["--allow-other-tokenizer"], &job[..]].concat();
    let again = assay(folder).args(["eval", "--samples"]).args(&job).arg("one").output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("the folder holds another run: end_of_text.1: "), "{}", stderr(&again));
    eval(folder, &[&job[..], &["two"]].concat());
    assert_eq!(count(folder, "two", "from_cache"), 0);
    let said = String::from_utf8(assay(folder).args(["verify", "one"]).output().unwrap().stdout).unwrap();
    assert!(said.contains("differs      tokens that end a text: "), "{said}");
}

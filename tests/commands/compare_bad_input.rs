//! `assay compare` of runs that cannot be compared: one line that says why, and a hint.

use std::path::Path;

use serde_json::Value;

use super::compared_runs::{FAMILY, compare, copy_of, evaluate, record_again};
use super::{stderr, stdout};

/// The error of comparing the merge's run with another run.
fn refused(other: &Path) -> String {
    let output = compare(&["runs/merge", other.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{said}");
    lines[0].replace(&other.display().to_string(), "OTHER")
}

/// Changes the record of a run to what another run would have.
fn change(run: &Path, place: &str, value: Value) {
    let path = run.join("run.json");
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    *record.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = value;
    std::fs::write(&path, format!("{record:#}\n")).unwrap();
    record_again(run);
}

/// The error of comparing with a copy of parent `a`'s run whose record is changed.
fn refused_with(place: &str, value: Value) -> String {
    let (_folder, copy) = copy_of("runs/a");
    change(&copy, place, value);
    refused(&copy)
}

#[test]
fn what_is_no_finished_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refused(folder.path()), "error: OTHER: not a run's folder: there is no run.json in it");
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    assert_eq!(refused(folder.path()), "error: OTHER: not a run's folder: it is a model's folder");
    std::fs::create_dir(folder.path().join("one")).unwrap();
    std::fs::rename(folder.path().join("config.json"), folder.path().join("one/run.json")).unwrap();
    assert_eq!(refused(folder.path()), "error: OTHER: not a run's folder: it is a folder of runs");
    assert!(refused(&folder.path().join("nowhere")).contains("OTHER/run.json: cannot be read: "));
    std::fs::write(folder.path().join("run.json"), "{\"tasks\":").unwrap();
    assert!(refused(folder.path()).starts_with("error: OTHER/run.json:1:"));
    std::fs::write(folder.path().join("run.json"), "{}").unwrap();
    assert_eq!(refused(folder.path()), "error: OTHER: the run is not finished: it has no task");

    let (_folder, copy) = copy_of("runs/a");
    std::fs::remove_file(copy.join("run.json")).unwrap();
    assert_eq!(
        refused(&copy),
        "error: OTHER: the run is not finished: it has a journal, and no run.json yet"
    );
    assert_eq!(
        refused_with("/interrupted", true.into()),
        "error: OTHER: the run is not finished: it was interrupted"
    );
    assert_eq!(
        refused_with("/failed", "a loglikelihood is not a number".into()),
        "error: OTHER: the run is not finished: it failed: a loglikelihood is not a number"
    );
    assert_eq!(
        refused_with("/tasks/arc_challenge/asked", 17.into()),
        "error: OTHER: the run is not finished: arc_challenge has 16 of 17 documents"
    );
}

#[test]
fn a_run_beside_itself_is_refused() {
    let said = refused(&FAMILY.path().join("runs/../runs/merge"));
    assert_eq!(said, "error: runs/merge and OTHER are the same run");
    let (_folder, copy) = copy_of("runs/merge");
    assert_eq!(refused(&copy), "error: runs/merge and OTHER are the same run");
    let output = compare(&["runs/merge", "runs/a", "runs/a"]);
    assert_eq!(output.status.code(), Some(2));
    let output = compare(&["runs/merge"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn runs_that_asked_or_computed_otherwise_are_refused() {
    assert_eq!(
        refused_with("/dtype", "bfloat16".into()),
        "error: runs/merge and OTHER were computed otherwise: dtype float32 and bfloat16"
    );
    assert_eq!(
        refused_with("/tasks/gsm8k/num_fewshot", 3.into()),
        "error: runs/merge and OTHER were asked other things in gsm8k: shots 5 and 3"
    );
    assert!(refused_with("/tasks/gsm8k/prompts_blake3", "0".repeat(64).into()).starts_with(
        "error: runs/merge and OTHER were asked other things in gsm8k: prompts of 8 documents "
    ));
    assert!(
        refused_with("/tasks/winogrande/datasets/1/content_blake3", "0".repeat(64).into()).starts_with(
            "error: runs/merge and OTHER were asked other things in winogrande: rows of `train` "
        )
    );
    let (_folder, copy) = copy_of("runs/a");
    change(&copy, "/dtype", "bfloat16".into());
    let output = compare(&["runs/merge", copy.to_str().unwrap(), "--allow-other-numerics"]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("were computed otherwise: dtype float32 and bfloat16: some of"));

    let place = FAMILY.path();
    evaluate(place, "a", "runs/shots", &["--tasks", "arc_challenge", "--num-fewshot", "2"]);
    assert!(refused(&place.join("runs/shots")).contains("in arc_challenge: shots 25 and 2, prompts of"));
}

#[test]
fn damaged_samples_are_refused_with_their_line() {
    let edits: [(&str, &str, &str); 7] = [
        ("\"doc_id\":2,", "\"doc_id\":1,", ":3: document 1 is out of order"),
        ("\"doc_id\":2,", "\"doc_id\":2", ":3: "),
        ("\"acc_norm\":1.0}", "\"acc_norm\":1e999}", ": number out of range"),
        ("\"acc_norm\":1.0}", "\"acc_norm\":NaN}", ": expected value"),
        ("\"acc_norm\":1.0}", "\"acc_norm\":0.5}", ": `acc_norm` is neither 0 nor 1"),
        ("\"acc_norm\":1.0}", "\"acc_form\":1.0}", ": no `acc_norm`"),
        ("\"row\":", "\"column\":", ":1: no `row` or no `gold`"),
    ];
    for (from, to, expected) in edits {
        let (_folder, copy) = copy_of("runs/a");
        let path = copy.join("samples/arc_challenge.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let said = refused(&copy);
        assert!(said.starts_with("error: OTHER/samples/arc_challenge.jsonl:"), "{said}");
        assert!(said.contains(expected), "{said}, expected {expected}");
    }
    let (_folder, copy) = copy_of("runs/a");
    let path = copy.join("samples/arc_challenge.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let last = text.trim_end().rfind('\n').unwrap();
    std::fs::write(&path, &text[..=last]).unwrap();
    assert!(refused(&copy).ends_with("samples/arc_challenge.jsonl:15: 15 samples, run.json recorded 16"));
    std::fs::write(&path, b"{\"doc_id\":\xff}\n").unwrap();
    assert!(refused(&copy).contains("samples/arc_challenge.jsonl:1: invalid utf-8"));
    std::fs::remove_file(&path).unwrap();
    assert!(refused(&copy).contains("samples/arc_challenge.jsonl: cannot be read: "));
}

#[test]
fn edits_that_can_be_read_are_refused() {
    let (_folder, copy) = copy_of("runs/a");
    let path = copy.join("samples/arc_challenge.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"acc_norm\":1.0}", "\"acc_norm\":0.0}", 1)).unwrap();
    let altered = "not as the run wrote it: ";
    let of_samples =
        format!("error: OTHER/samples/arc_challenge.jsonl: {altered}run.json has another hash of it");
    assert_eq!(refused(&copy), of_samples);
    std::fs::write(&path, text).unwrap();
    let path = copy.join("results.json");
    let results = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, results.replacen("\"unranked_because\"", "\"unranked_because_\"", 1)).unwrap();
    assert!(refused(&copy).starts_with(&format!("error: OTHER/results.json: {altered}")));
    std::fs::write(&path, results).unwrap();
    let path = copy.join("run.json");
    let record = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, record.replacen("\"dtype\": \"float32\"", "\"dtype\": \"float64\"", 1)).unwrap();
    assert_eq!(refused(&copy), format!("error: OTHER/run.json: {altered}its seal is of another content"));
}

#[test]
fn runs_without_anything_in_common_are_refused() {
    let place = FAMILY.path();
    evaluate(place, "a", "runs/one", &["--tasks", "winogrande"]);
    evaluate(place, "b", "runs/other", &["--tasks", "gsm8k"]);
    let output = compare(&["runs/one", "runs/other", "--common"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: runs/one and runs/other have no task in common\nhint: "));
}

#[test]
fn published_scores_stand_beside_whole_benchmarks_only() {
    evaluate(FAMILY.path(), "a", "runs/limited", &["--tasks", "arc_challenge", "--limit", "3"]);
    let published =
        concat!(env!("CARGO_MANIFEST_DIR"), "/results/published.csv:Gille/StrangeMerges_24-7B-slerp");
    let output = compare(&["runs/limited", published, "--fail-on", "worse"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.starts_with("error: runs/limited cannot stand beside ") && said.contains("limit 3"),
        "{said}"
    );
}

#[test]
fn a_value_that_is_no_share_is_refused() {
    let (_folder, copy) = copy_of("runs/a");
    let path = copy.join("samples/arc_challenge.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    for value in ["17.5", "-1"] {
        let changed = ["0.0", "1.0"].map(|old| format!("\"acc_norm\":{old}"));
        let at = changed.iter().find(|old| text.contains(old.as_str())).unwrap();
        std::fs::write(&path, text.replacen(at.as_str(), &format!("\"acc_norm\":{value}"), 1)).unwrap();
        assert!(!compare(&["runs/merge", copy.to_str().unwrap()]).status.success(), "{value}");
    }
}

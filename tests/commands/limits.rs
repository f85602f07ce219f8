//! `--limit` by task.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::kills::run_json;
use super::{assay, repository, run, stderr, stdout};

const TASKS: &str = "winogrande,arc_challenge,hendrycksTest-anatomy,hendrycksTest-astronomy";
const LIMITS: &str = "3,winogrande=5,hendrycks*=2,hendrycksTest-anatomy=1";

fn eval(folder: &Path, more: &[&str]) -> Output {
    let mut command = assay(folder);
    command.args(["eval", "--num-fewshot", "1", "--tasks"]).args(more);
    command.output().unwrap()
}

fn evaluated(folder: &Path, more: &[&str]) {
    let output = eval(folder, more);
    assert!(output.status.success(), "{}", stderr(&output));
}

fn samples(folder: &Path, task: &str) -> String {
    std::fs::read_to_string(folder.join(format!("samples/{task}.jsonl"))).unwrap()
}

/// An object with a number for each task.
fn counts(winogrande: usize, arc_challenge: usize, anatomy: usize, astronomy: usize) -> Value {
    json!({
        "arc_challenge": arc_challenge, "hendrycksTest-anatomy": anatomy,
        "hendrycksTest-astronomy": astronomy, "winogrande": winogrande,
    })
}

#[test]
fn each_task_has_its_own_limit_and_the_record_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    evaluated(place, &[TASKS, "--limit", LIMITS, "--output", "out", "--no-cache"]);
    let out = place.join("out");
    let record = run_json(&out);
    let expected = counts(5, 3, 1, 2);
    assert_eq!((&record["limit"], &record["identity"]["limit"]), (&expected, &expected));
    let results: Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["config"]["limit"], expected);
    let reasons = results["suite"]["unranked_because"].as_array().unwrap();
    assert!(reasons.contains(&"limits by task (1 to 5)".into()), "{reasons:?}");
    for (task, count) in expected.as_object().unwrap() {
        assert_eq!(&record["tasks"][task]["asked"], count);
        assert_eq!(samples(&out, task).lines().count() as u64, count.as_u64().unwrap(), "{task}");
    }
    let output = assay(place).args(["verify", "out"]).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let text = std::fs::read_to_string(out.join("run.json")).unwrap();
    let mut edited = record.clone();
    edited["limit"]["winogrande"] = 6.into();
    edited["seal"] = assay::store::seal_of(edited.as_object().unwrap()).to_string().into();
    std::fs::write(out.join("run.json"), format!("{edited:#}\n")).unwrap();
    let output = assay(place).args(["verify", "out"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("limit.winogrande is `6` in the record, found `5`"),
        "{}",
        stdout(&output)
    );
    std::fs::write(out.join("run.json"), text).unwrap();

    // The answers are those of a run of the task alone with that limit.
    for (task, limit) in [("winogrande", "5"), ("hendrycksTest-astronomy", "2")] {
        evaluated(place, &[task, "--limit", limit, "--output", task, "--no-cache"]);
        assert_eq!(samples(&out, task), samples(&place.join(task), task));
        let plain: Value = limit.parse::<u64>().unwrap().into();
        assert_eq!(run_json(&place.join(task))["limit"], plain, "a plain number is recorded as one");
    }
    // A comparison pairs what both have, as under any limit.
    let output = assay(place).args(["compare", "out", "winogrande"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let output = assay(place).args(["compare", "out", "winogrande", "--flips"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn requests_and_plan_have_the_same_documents() {
    let tokenizer = repository("sample_model/tokenizer.json");
    let same = ["--num-fewshot", "1", "--tasks", TASKS, "--limit", LIMITS, "--tokenizer"];
    let same = [&same[..], &[tokenizer.to_str().unwrap()]].concat();
    let output = run(&[&["requests"], &same[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for line in stdout(&output).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *found.entry(line["task"].as_str().unwrap().to_string()).or_default() += 1;
    }
    assert_eq!(json!(found), counts(5, 3, 1, 2));
    let output = run(&[&["plan", "--format", "json"], &same[..]].concat());
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    // Two choices per document, and four.
    assert_eq!(plan["tasks"]["winogrande"]["requests"], 10);
    assert_eq!(plan["tasks"]["hendrycksTest-astronomy"]["requests"], 8);
}

#[test]
fn a_run_goes_on_with_the_same_limits_only_however_they_are_typed() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = "winogrande,arc_challenge";
    evaluated(folder.path(), &[tasks, "--limit", "winogrande=3,2", "--output", "out"]);
    let output = eval(folder.path(), &[tasks, "--limit", "2,*=2,wino*=3", "--output", "out"]);
    assert!(stderr(&output).ends_with("results in out: this run was complete already\n"));
    for (limit, difference) in [
        ("winogrande=4,2", "limit.winogrande: `3` there, `4` here"),
        ("winogrande=3", "limit.arc_challenge: `2` there, nothing here"),
        ("2", "limit: `{\"arc_challenge\":2,\"winogrande\":3}` there, `2` here"),
    ] {
        let output = eval(folder.path(), &[tasks, "--limit", limit, "--output", "out"]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(
            said.starts_with(&format!("error: out: the folder holds another run: {difference}\n")),
            "{said}"
        );
    }
    // Tasks without an entry have no limit.
    evaluated(folder.path(), &["winogrande,gsm8k", "--limit", "gsm8k=1", "--output", "some"]);
    let record = run_json(&folder.path().join("some"));
    assert_eq!(record["limit"], json!({"gsm8k": 1}));
    let task = &record["tasks"]["winogrande"];
    assert!(task["asked"] == task["available"] && record["tasks"]["gsm8k"]["asked"] == 1);
}

#[test]
fn what_is_wrong_with_a_limit_is_said_in_a_line() {
    let tip = "give one number for each task, limits by task (NAME=8,OTHER=20), or both (4,NAME=8); a number below 1 is a share";
    let invalid =
        |typed: &str, fault: &str| format!("invalid value '{typed}' for '--limit <N|NAME=N,..>': {fault}");
    let tokenizer = repository("sample_model/tokenizer.json");
    let tokenizer = ["--tokenizer", tokenizer.to_str().unwrap()];
    for (typed, error, hint) in [
        ("gsm8k=", invalid("gsm8k=", "`gsm8k=` has no number, expected NAME=N"), tip),
        ("=3", invalid("=3", "`=3` names no task, expected NAME=N"), tip),
        ("gsm8k=abc", invalid("gsm8k=abc", "`gsm8k=abc`: `abc` is no number, expected N or NAME=N"), tip),
        ("gsm8k=0", invalid("gsm8k=0", "`gsm8k=0`: 0 is not in 1..=4294967295"), tip),
        (
            "gsm8k=1,gsm8k=1",
            invalid("gsm8k=1,gsm8k=1", "`gsm8k=1` names its tasks a second time, expected each name once"),
            tip,
        ),
        (
            "3,winogrande=2",
            "--limit winogrande=2: `winogrande` is none of the chosen tasks, expected one of --tasks".into(),
            "leave this entry out, or choose its tasks with --tasks too",
        ),
        (
            "gsm9k=2",
            "--limit gsm9k=2: unknown task `gsm9k`".into(),
            "did you mean `gsm8k`? `assay tasks` lists all",
        ),
    ] {
        for command in ["eval", "plan", "requests"] {
            let mut arguments = vec![command, "--tasks", "gsm8k,arc_challenge", "--limit", typed];
            arguments.extend(if command == "eval" { &[][..] } else { &tokenizer });
            let output = run(&arguments);
            assert_eq!(output.status.code(), Some(2), "{command} {typed}");
            assert_eq!(stderr(&output), format!("error: {error}\nhint: {hint}\n"), "{command} {typed}");
        }
    }
}

#[test]
fn a_share_of_each_task_is_recorded_and_verified_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    evaluated(place, &["winogrande,arc_challenge", "--limit", "0.3", "--output", "out"]);
    let record = run_json(&place.join("out"));
    assert_eq!((&record["limit"], &record["identity"]["limit"]), (&json!(0.3), &json!(0.3)));
    for (task, entry) in record["tasks"].as_object().unwrap() {
        let expected = (entry["available"].as_f64().unwrap() * 0.3).ceil();
        assert_eq!(entry["asked"].as_f64(), Some(expected), "{task}");
    }
    let results: Value =
        serde_json::from_str(&std::fs::read_to_string(place.join("out/results.json")).unwrap()).unwrap();
    assert_eq!(results["config"]["limit"], 0.3);
    let output = assay(place).args(["verify", "out"]).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    // The same command is the same run, and a share is another one than the number it comes to.
    let output = eval(place, &["winogrande,arc_challenge", "--limit", "0.3", "--output", "out"]);
    assert!(stderr(&output).contains("was complete already"), "{}", stderr(&output));
    let output = eval(place, &["winogrande,arc_challenge", "--limit", "0.4", "--output", "out"]);
    assert!(stderr(&output).contains("limit: `0.3` there, `0.4` here"), "{}", stderr(&output));
}

//! The beginning-of-text token, through whole commands.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::harness_files::{arc, tasks, write_04};
use super::{assay, stderr, stdout};

/// A folder with a task of two rows; the second has no context.
fn task(keys: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = "{\"q\": \"one\", \"a\": \"two\"}\n{\"q\": \"\", \"a\": \"three\"}\n";
    fs::create_dir(folder.path().join("tasks")).unwrap();
    fs::write(folder.path().join("tasks/rows.jsonl"), rows).unwrap();
    let file = format!(
        "task: t\ndataset_path: json\ndataset_kwargs:\n  data_files: {{test: rows.jsonl}}\noutput_type: multiple_choice\n\
         test_split: test\ndoc_to_text: \"{{{{q}}}}\"\ndoc_to_target: 0\ndoc_to_choice: \"{{{{[a, 'x']}}}}\"\n{keys}"
    );
    fs::write(folder.path().join("tasks/t.yaml"), file).unwrap();
    folder
}

/// The first tokens of both contexts.
fn begins(folder: &Path, more: &[&str]) -> Vec<u64> {
    let tokenizer = super::repository("sample_model/tokenizer.json");
    let mut command = assay(folder);
    command.args(["requests", "--include", "tasks", "--tasks", "t", "--tokenizer"]).arg(tokenizer).args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = stdout(&output);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["requests"][0]["context_tokens"][0].as_u64().unwrap()).collect()
}

#[test]
fn the_file_and_the_flag_say_what_texts_begin_with() {
    let (begin, end) = (1, 2);
    let plain = begins(task("").path(), &[]);
    assert_eq!(plain[1], begin);
    assert!(plain[0] > end);
    assert_eq!(begins(task("").path(), &["--add-bos-token", "true"]), [begin, begin]);
    assert_eq!(begins(task("add_bos_token: true\n").path(), &[]), [begin, begin]);
    assert_eq!(begins(task("add_bos_token: true\n").path(), &["--add-bos-token", "false"]), plain);
    assert_eq!(begins(task("add_bos_token: tokenizer\n").path(), &[]), plain);
    // The order of documents of harnesses before 0.4 comes with their empty context.
    let before = begins(task("random: {shuffle_documents: true, seed: 42}\n").path(), &[]);
    assert!(before.contains(&end) && !before.contains(&begin), "{before:?}");
    let output = assay(task("add_bos_token: maybe\n").path())
        .args(["tasks", "t", "--include", "tasks"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expected true, false or tokenizer"), "{}", stderr(&output));
}

fn eval(folder: &Path, name: &str, more: &[&str]) -> Value {
    let mut command = assay(folder);
    command.args(["eval", "--samples", "--output", name]).args(more);
    if fs::read_dir(folder.join("tasks")).unwrap().next().is_some() {
        command.args(["--include", "tasks"]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&fs::read(folder.join(name).join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_run_records_it_and_runs_that_differ_are_not_compared() {
    let folder = task("");
    let folder = folder.path();
    let plain = eval(folder, "plain", &["--tasks", "t"]);
    assert_eq!(plain["add_bos_token"], Value::Null);
    assert_eq!(plain["tasks"]["t"]["add_bos_token"], false);
    assert_eq!(plain["tasks"]["t"]["empty_context"], "beginning_of_text");
    let marked = eval(folder, "marked", &["--tasks", "t", "--add-bos-token", "true"]);
    assert_eq!(marked["add_bos_token"], "true");
    assert_eq!(marked["tasks"]["t"]["add_bos_token"], true);
    let output = assay(folder).args(["compare", "plain", "marked"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("add_bos_token true and false")
            || stderr(&output).contains("add_bos_token false and true"),
        "{}",
        stderr(&output)
    );
    // Said on the command line, and the same.
    eval(folder, "said", &["--tasks", "t", "--add-bos-token", "false"]);
    let output = assay(folder).args(["compare", "plain", "said"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // The record says what verify needs to build the tokens again.
    let output = assay(folder).args(["verify", "marked", "--include", "tasks"]).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn the_leaderboard_has_none_and_with_one_is_not_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("tasks")).unwrap();
    let limited = ["--tasks", "winogrande", "--limit", "1", "--num-fewshot", "0"];
    let plain = eval(folder, "plain", &limited);
    assert_eq!(plain["tasks"]["winogrande"]["add_bos_token"], false);
    assert_eq!(plain["tasks"]["winogrande"]["empty_context"], Value::Null);
    eval(folder, "marked", &[&limited[..], &["--add-bos-token", "true"]].concat());
    let results = |name: &str| fs::read_to_string(folder.join(name).join("results.json")).unwrap();
    let reason = "beginning-of-text token added otherwise in winogrande";
    assert!(results("marked").contains(reason) && !results("plain").contains(reason));
}

#[test]
fn runs_of_another_harness_are_checked_for_it() {
    let tasks = tasks();
    let folder = tempfile::tempdir().unwrap();
    let results = write_04(folder.path(), &[arc(&tasks)]);
    let read = |arguments: Value| {
        let mut json: Value = serde_json::from_slice(&fs::read(&results).unwrap()).unwrap();
        json["config"]["model_args"] = arguments;
        fs::write(&results, json.to_string()).unwrap();
        let run = assay::store::read_foreign(folder.path(), &tasks).unwrap();
        let run = assay::store::compared_foreign(run, "there", &tasks, None).unwrap();
        let said = run.notes.iter().any(|note| note.contains("beginning-of-text"));
        (run.tasks[0].setup.get("add_bos_token").cloned(), said)
    };
    use serde_json::json;
    let told = |value: &str| (Some(value.to_string()), false);
    assert_eq!(read(json!("pretrained=some/model,add_bos_token=True,dtype=float32")), told("true"));
    assert_eq!(read(json!({"pretrained": "some/model", "add_bos_token": false})), told("false"));
    assert_eq!(read(json!({"pretrained": "some/model", "add_bos_token": "True"})), told("true"));
    assert_eq!(read(json!("pretrained=some/model")), (None, true));
}

//! Groups with scores of their own.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::{assay, repository, stderr, stdout};

const TASK: &str = "dataset_path: json\noutput_type: multiple_choice\ntest_split: test\n\
    doc_to_text: \"{{q}}\"\ndoc_to_choice: [a, b]\ndoc_to_target: label\nmetric_list: [{metric: acc}]\n";

/// Writes tasks of 2, 3 and 6 documents, and the group files `groups`.
fn write(folder: &Path, groups: &[(&str, &str)]) {
    for (name, documents) in [("one", 2), ("two", 3), ("three", 6)] {
        let row = |i: usize| json!({"q": format!("{name} {i} of"), "label": i % 2}).to_string();
        let rows: Vec<String> = (0..documents).map(row).collect();
        fs::write(folder.join(format!("{name}.jsonl")), rows.join("\n")).unwrap();
        let data = format!("dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}\n");
        fs::write(folder.join(format!("{name}.yaml")), format!("task: {name}\n{data}{TASK}")).unwrap();
    }
    for (name, text) in groups {
        fs::write(folder.join(format!("_{name}.yaml")), text).unwrap();
    }
}

/// Runs `tasks` into the folder `run`, and reads its results.
fn run(folder: &Path, tasks: &str) -> (Value, String) {
    let output = assay(folder)
        .args(["eval", "--include", ".", "--no-cache", "--output", "run", "--tasks", tasks])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let results = fs::read(folder.join("run/results.json")).unwrap();
    (serde_json::from_slice(&results).unwrap(), stdout(&output))
}

/// Runs `assay requests` for `tasks`.
fn requests(folder: &Path, tasks: &str) -> Output {
    let tokenizer = repository("sample_model/tokenizer.json");
    let mut command = assay(folder);
    command.args(["requests", "--include", ".", "--tasks", tasks, "--tokenizer"]);
    command.arg(tokenizer).output().unwrap()
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
}

#[test]
fn nested_groups_have_the_means_of_their_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let outer = "group: outer\ngroup_alias: All of it\ntask:\n  - group: inner\n    task: [one, two]\n    \
        aggregate_metric_list: {metric: acc}\n  - three\naggregate_metric_list:\n  - {metric: acc, weight_by_size: false}\n";
    write(folder.path(), &[("outer", outer)]);
    let (results, table) = run(folder.path(), "outer");
    let acc = |task: &str| results["results"][task]["acc"].as_f64().unwrap();
    let error = |task: &str| results["results"][task]["acc_stderr"].as_f64().unwrap();
    let (outer, inner) = (&results["groups"]["outer"], &results["groups"]["outer::inner"]);
    close(&outer["acc"], (acc("one") + acc("two") + acc("three")) / 3.0);
    let squares = error("one").powi(2) + error("two").powi(2) + error("three").powi(2);
    close(&outer["acc_stderr"], squares.sqrt() / 3.0);
    close(&inner["acc"], (2.0 * acc("one") + 3.0 * acc("two")) / 5.0);
    let pooled = (2.0 * error("one").powi(2) + 6.0 * error("two").powi(2)) / 3.0 / 5.0;
    close(&inner["acc_stderr"], pooled.sqrt());
    assert_eq!(outer["alias"], "All of it");
    assert_eq!(results["group_subtasks"]["outer"], json!(["one", "two", "three"]));
    assert!(results["results"].get("outer").is_none());
    let row = table.lines().find(|line| line.contains("All of it")).unwrap();
    assert!(row.contains(&format!("{:.4}", outer["acc"].as_f64().unwrap())), "{table}");

    let verify = || assay(folder.path()).args(["verify", "run", "--include", "."]).output().unwrap();
    let output = verify();
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).contains("same         scores of groups"), "{}", stdout(&output));
    let path = folder.path().join("run/results.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("All of it", "Some of it")).unwrap();
    let found = stdout(&verify());
    assert!(found.contains("differs      scores of groups"), "{found}");
}

#[test]
fn a_group_sets_keys_in_its_tasks_and_may_declare_some() {
    let folder = tempfile::tempdir().unwrap();
    let group = format!(
        "group: g\ndescription: 'D. '\ntask:\n  - one\n  - task: two\n    description: 'E. '\n  - task: own\n    \
         dataset_kwargs: {{data_files: {{test: three.jsonl}}}}\n    {}",
        TASK.trim_end().replace('\n', "\n    ")
    );
    write(folder.path(), &[("g", &group), ("plain", "group: plain\ntask: [one, two]\n")]);
    let contexts = |task: &str| {
        let output = requests(folder.path(), task);
        assert!(output.status.success(), "{}", stderr(&output));
        let lines = stdout(&output);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["doc_id"] == 0)
            .map(|line| line["requests"][0]["context"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(contexts("g"), ["D. one 0 of", "E. two 0 of", "D. three 0 of"]);
    assert_eq!(contexts("plain"), ["one 0 of", "two 0 of"]);
    assert_eq!(contexts("g::own"), ["D. three 0 of"]);
    let output = requests(folder.path(), "g,plain");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("task `one` is asked for twice, with other keys each time"));

    // The tasks of a run are found again with the keys that the group sets in them, and no others.
    run(folder.path(), "g");
    let verify = || assay(folder.path()).args(["verify", "run", "--include", "."]).output().unwrap();
    let output = verify();
    assert!(output.status.success(), "{}", stdout(&output));
    fs::write(folder.path().join("_g.yaml"), group.replace("'D. '", "'F. '")).unwrap();
    let found = stdout(&verify());
    let differs = |line: &str| line.starts_with("differs") && line.contains("task file");
    assert!(found.lines().any(|line| differs(line.trim())), "{found}");
}

#[test]
fn an_aggregation_that_groups_lack_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let group = "group: g\ntask: [one]\naggregate_metric_list: [{metric: acc, aggregation: median}]\n";
    write(folder.path(), &[("g", group)]);
    let output = requests(folder.path(), "g");
    assert_eq!(output.status.code(), Some(2));
    let found = stderr(&output);
    assert!(found.contains("_g.yaml:3:52: `aggregation` is `median`, expected mean"), "{found}");
}

/// As for 0.4.13, patterns are of the names of tasks, tags and groups alike.
#[test]
fn a_pattern_matches_groups_and_tags_with_their_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let group = "group: twin\ntask: [one, {task: two, num_fewshot: 0, description: 'Set by the group. '}]\n\
        aggregate_metric_list: {metric: acc}\n";
    write(folder.path(), &[("twin", group)]);
    let three = folder.path().join("three.yaml");
    fs::write(&three, format!("{}tag: other\n", fs::read_to_string(&three).unwrap())).unwrap();
    // `tw*` is the task `two` and the group `twin`, which sets a key in it; the group's score is over the group's tasks.
    let (results, _) = run(folder.path(), "tw*");
    let names: Vec<&String> = results["results"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["one", "two"]);
    let acc = |task: &str| results["results"][task]["acc"].as_f64().unwrap();
    close(&results["groups"]["twin"]["acc"], (2.0 * acc("one") + 3.0 * acc("two")) / 5.0);
    let asked = |tasks: &str| {
        let output = requests(folder.path(), tasks);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    assert!(asked("tw*").contains("Set by the group."));
    assert_eq!(asked("ot*"), asked("three"));
    assert_eq!(requests(folder.path(), "nothing*").status.code(), Some(2));
}

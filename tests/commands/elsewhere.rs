//! Runs of other harnesses, compared with one of ours.

use std::fs;
use std::path::Path;

use assay::store::{RequestsByTask, compared_foreign, read_foreign};
use assay::task::Task;
use assay::vocabulary::{ComparedRun, DocumentRequests};
use serde_json::{Value, json};

use super::harness_files::{DATE, arc, documents, sample, tasks, write_04, write_out};
use super::{assay, stderr, stdout};

fn read(path: &Path, tasks: &[Task], asked: Option<&RequestsByTask>) -> Result<ComparedRun, String> {
    let run = read_foreign(path, tasks).map_err(|error| error.to_string())?;
    compared_foreign(run, "there", tasks, asked).map_err(|error| error.to_string())
}

fn asked(tasks: &[Task], names: &[&str]) -> RequestsByTask {
    names.iter().map(|name| (name.to_string(), documents(tasks, name))).collect()
}

#[test]
fn documents_are_found_by_what_was_asked_and_not_by_their_numbers() {
    let tasks = tasks();
    let folder = tempfile::tempdir().unwrap();
    let mut written = arc(&tasks);
    write_04(folder.path(), std::slice::from_ref(&written));
    let asked = asked(&tasks, &["arc_challenge"]);
    let own = &asked["arc_challenge"];
    let run = read(folder.path(), &tasks, Some(&asked)).unwrap();
    assert_eq!((run.name.as_str(), run.numerics["dtype"].as_str()), ("some/model", "float32"));
    let task = run.task("arc_challenge").unwrap();
    assert_eq!((task.documents.len(), task.metrics.len()), (own.len(), 1));
    assert_eq!(task.setup["shots"], "25");
    for (document, own) in task.documents.iter().zip(own) {
        assert_eq!((document.doc_id, document.row), (own.doc_id, Some(own.row)));
        assert_eq!(document.values, [f64::from(u8::from(own.row.is_multiple_of(3)))]);
        assert_eq!(document.gold.as_ref(), Some(&own.gold));
    }
    // Different document ids for the same documents change nothing.
    for line in &mut written.1 {
        line["doc_id"] = (1000 - line["doc_id"].as_u64().unwrap()).into();
    }
    write_04(folder.path(), &[written]);
    assert_eq!(read(folder.path(), &tasks, Some(&asked)).unwrap().tasks, run.tasks);
    // Without a run of ours, documents are identified by the file's own ids and the hash of the prompt.
    let alone = read(folder.path(), &tasks, None).unwrap();
    let document = &alone.tasks[0].documents[0];
    assert!(document.row.is_none() && document.prompt_hash.is_some());
}

#[test]
fn two_tasks_there_may_be_one_here() {
    let tasks = tasks();
    let anatomy = tasks.iter().find(|task| task.is_known_as("mmlu_anatomy")).unwrap();
    assert_eq!(&*anatomy.name, "hendrycksTest-anatomy");
    assert_eq!(anatomy.metrics_known_as("mmlu_anatomy", None), Some(vec![("acc".into(), "acc".into())]));
    let own = documents(&tasks, "truthfulqa_mc");
    let lines = |metric: usize, value: &dyn Fn(usize) -> f64| -> Vec<Value> {
        let line = |document: &DocumentRequests| {
            let requests = &document.requests[document.views[metric].choices.clone()];
            sample(document, requests, json!("0"), "none", json!({"acc": value(document.row)}))
        };
        own.iter().map(line).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let first = ("truthfulqa_mc1", lines(0, &|row| (row % 2) as f64), json!({"num_fewshot": 0}));
    let second = ("truthfulqa_mc2", lines(1, &|row| 1.0 / (row + 2) as f64), json!({"num_fewshot": 0}));
    write_04(folder.path(), &[first, second]);
    let run = read(folder.path(), &tasks, Some(&asked(&tasks, &["truthfulqa_mc"]))).unwrap();
    let [task] = run.tasks.as_slice() else { panic!("{:?}", run.tasks.len()) };
    let metrics: Vec<(&str, bool)> =
        task.metrics.iter().map(|m| (m.name.as_str(), m.right_or_wrong)).collect();
    assert_eq!(metrics, [("mc1", true), ("mc2", false)]);
    for (document, own) in task.documents.iter().zip(&own) {
        assert_eq!(document.values, [(own.row % 2) as f64, 1.0 / (own.row + 2) as f64]);
    }
}

#[test]
fn texts_are_the_views_that_their_stops_make_them() {
    let tasks = tasks();
    let own = documents(&tasks, "gsm8k");
    let mut lines = Vec::new();
    for document in &own {
        let target = json!("A long answer. #### 18");
        for (filter, value) in [("strict-match", 0.0), ("flexible-extract", 1.0)] {
            lines.push(sample(
                document,
                &document.requests,
                target.clone(),
                filter,
                json!({"exact_match": value}),
            ));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let config = |until: Value| json!({"num_fewshot": 5, "generation_kwargs": {"until": until}});
    let stops = json!(["Question:", "</s>", "<|im_end|>"]);
    write_04(folder.path(), &[("gsm8k", lines.clone(), config(stops))]);
    let asked = asked(&tasks, &["gsm8k"]);
    let run = read(folder.path(), &tasks, Some(&asked)).unwrap();
    let task = &run.tasks[0];
    let names: Vec<&str> = task.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["acc_no_colon", "acc_flexible"]);
    assert!(task.documents.iter().all(|d| d.values == [0.0, 1.0] && d.answers[1].as_deref() == Some("18")));
    write_04(folder.path(), &[("gsm8k", lines, config(json!(["\n\n"])))]);
    let error = read(folder.path(), &tasks, Some(&asked)).unwrap_err();
    assert!(error.contains(r#"texts of gsm8k stop at ["\n\n"], expected ["Question:", "</s>""#), "{error}");
}

#[test]
fn what_was_asked_otherwise_is_refused() {
    let tasks = tasks();
    let folder = tempfile::tempdir().unwrap();
    let asked = asked(&tasks, &["arc_challenge"]);
    let mut written = arc(&tasks);
    for line in &mut written.1[2..4] {
        let context =
            line["arguments"]["gen_args_1"]["arg_0"].as_str().unwrap().replacen("Question", "question", 1);
        line["arguments"]["gen_args_1"]["arg_0"] = context.into();
    }
    write_04(folder.path(), &[written]);
    let error = read(folder.path(), &tasks, Some(&asked)).unwrap_err();
    assert!(error.contains("2 of 16 documents were not asked as arc_challenge is asked here"), "{error}");
    assert!(error.ends_with("the first is document 2"), "{error}");
    // The same question with a different right answer.
    let mut written = arc(&tasks);
    let gold: usize = written.1[4]["target"].as_str().unwrap().parse().unwrap();
    written.1[4]["target"] = ((gold + 1) % 4).to_string().into();
    write_04(folder.path(), &[written]);
    let error = read(folder.path(), &tasks, Some(&asked)).unwrap_err();
    assert!(
        error.contains(&format!("choice {} is right there, choice {gold} here (row 4)", (gold + 1) % 4)),
        "{error}"
    );
}

/// The error after `change` was applied to valid files of 0.4.
fn complaint(tasks: &[Task], change: &dyn Fn(&Path, &Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let results = write_04(folder.path(), &[arc(tasks)]);
    let samples = results.with_file_name(format!("samples_arc_challenge_{DATE}.jsonl"));
    change(&results, &samples);
    let error = read(folder.path(), tasks, None).unwrap_err();
    error.replace(&format!("{}/some__model", folder.path().display()), "DIR").replace(DATE, "DATE")
}

fn edit(path: &Path, change: &dyn Fn(String) -> String) {
    fs::write(path, change(fs::read_to_string(path).unwrap())).unwrap();
}

#[test]
fn bad_files_of_0_4_are_named() {
    let tasks = tasks();
    let line = |text: &str, place: usize| text.lines().nth(place).unwrap().to_string();
    type Change<'a> = &'a dyn Fn(&Path, &Path);
    let cases: [(Change<'_>, &str); 11] = [
        (
            &|_, samples| fs::remove_file(samples).unwrap(),
            "DIR/results_DATE.json: no samples of arc_challenge beside it",
        ),
        (
            &|_, samples| edit(samples, &|text| text[..text.len() - 30].to_string()),
            "DIR/samples_arc_challenge_DATE.jsonl:16:",
        ),
        (
            &|_, samples| edit(samples, &|text| format!("{text}{}\n", line(&text, 3))),
            "DIR/samples_arc_challenge_DATE.jsonl:17: document 3 stands at line 4 too",
        ),
        (
            &|_, samples| edit(samples, &|text| text.replacen("\"acc\":1.0", "\"acc\":NaN", 1)),
            "DIR/samples_arc_challenge_DATE.jsonl:1:",
        ),
        (
            &|_, samples| edit(samples, &|text| text.replacen("\"acc\":1.0", "\"acc\":null", 1)),
            "DIR/samples_arc_challenge_DATE.jsonl:1: document 0: metric `acc` is null, expected a number",
        ),
        (
            &|_, samples| edit(samples, &|text| text.replacen(",\"acc\":1.0", "", 1)),
            "DIR/samples_arc_challenge_DATE.jsonl:1: document 0: no metric `acc`",
        ),
        (
            &|_, samples| edit(samples, &|text| text.replacen("\"acc\":0.0", "\"acc\":1.0", 1)),
            "DIR/samples_arc_challenge_DATE.jsonl: the mean of `acc` is 0.4375, DIR/results_DATE.json says 0.375",
        ),
        (
            &|_, samples| {
                edit(samples, &|text| text.lines().take(7).map(|line| format!("{line}\n")).collect())
            },
            "DIR/samples_arc_challenge_DATE.jsonl: 7 documents, DIR/results_DATE.json says 16",
        ),
        (
            &|results, samples| {
                for date in ["2026-01-01T00-00-00", "2026-01-02T00-00-00"] {
                    fs::copy(samples, results.with_file_name(format!("samples_arc_challenge_{date}.jsonl")))
                        .unwrap();
                }
                fs::remove_file(samples).unwrap();
            },
            "DIR/results_DATE.json: several samples of arc_challenge, none of its own time: \
             samples_arc_challenge_2026-01-01T00-00-00.jsonl, samples_arc_challenge_2026-01-02T00-00-00.jsonl",
        ),
        (
            &|results, _| {
                fs::copy(results, results.with_file_name("results_2026-01-01T00-00-00.json")).unwrap();
            },
            "DIR: 2 results files, from results_2026-01-01T00-00-00.json to results_DATE.json",
        ),
        (
            &|results, _| edit(results, &|text| text.replace("\"configs\"", "\"config_of\"")),
            "DIR/results_DATE.json: no `configs` and `results`, as lm-evaluation-harness 0.4 writes them",
        ),
    ];
    for (change, expected) in cases {
        let said = complaint(&tasks, change);
        assert!(said.starts_with(expected), "{said}\nexpected {expected}");
    }
}

#[test]
fn lists_from_before_0_4_are_read() {
    let tasks = tasks();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("old-model");
    fs::create_dir(&place).unwrap();
    let names = ["arc_challenge", "winogrande", "gsm8k", "hendrycksTest-anatomy"];
    let asked = asked(&tasks, &names);
    for name in names {
        let list = Value::from(write_out(&asked[name], &|doc_id| doc_id.is_multiple_of(2)));
        fs::write(place.join(format!("{name}_write_out_info.json")), format!("{list:#}")).unwrap();
    }
    fs::write(place.join("other_write_out_info.json"), "[]").unwrap();
    let run = read(&place, &tasks, Some(&asked)).unwrap();
    assert_eq!((run.name.as_str(), run.tasks.len()), ("old-model", 4));
    assert!(run.notes.contains(&"left out, being no tasks here: other".to_string()), "{:?}", run.notes);
    for name in names {
        let task = run.task(name).unwrap();
        assert_eq!(task.documents.len(), asked[name].len());
        for (document, own) in task.documents.iter().zip(&asked[name]) {
            assert_eq!((document.doc_id, document.row), (own.doc_id, Some(own.row)), "{name}");
            assert_eq!(document.values, [f64::from(u8::from(own.doc_id.is_multiple_of(2)))], "{name}");
        }
    }
    // A single one of its files.
    let file = place.join("gsm8k_write_out_info.json");
    assert_eq!(read(&file, &tasks, Some(&asked)).unwrap().tasks.len(), 1);

    let whole = fs::read_to_string(&file).unwrap();
    for (changed, expected) in [
        (whole[..whole.len() / 2].to_string(), ": eof while parsing"),
        (whole.replacen("\"doc_id\": 1", "\"doc_id\": 0", 1), ": document 0 is entry 1 and entry 2"),
        (
            whole.replacen("\"acc\": \"1.0\"", "\"acc\": \"nan\"", 1),
            ":1: document 0: metric `acc` is nan, expected a number",
        ),
        (
            whole.replacen("\"acc\"", "\"em\"", 1),
            ": document 1 and document 0 do not both have the metric `em`",
        ),
        (whole.replacen("\"prompt_0\"", "\"prompt\"", 1), ": document 0: no `prompt_0`"),
        (whole.replacen("\"1.0\"", "\"0.5\"", 1), ": document 0 is neither right nor wrong"),
        ("{}".to_string(), ":1:1: invalid type: map, expected a list of documents"),
        ("[]".to_string(), ": no document"),
    ] {
        fs::write(&file, changed).unwrap();
        let error = read(&file, &tasks, Some(&asked)).unwrap_err().to_lowercase();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

fn evaluated(folder: &Path, out: &str, more: &[&str]) {
    let mut command = assay(folder);
    let output = command.args(["eval", "--output", out, "--no-cache"]).args(more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn compared(folder: &Path, arguments: &[&str]) -> Value {
    let output = assay(folder).arg("compare").args(arguments).args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = assay(folder).arg("compare").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    stderr(&output)
}

#[test]
fn a_run_of_ours_is_compared_with_one_of_theirs() {
    let tasks = tasks();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    evaluated(place, "own", &["--tasks", "arc_challenge"]);
    let own = fs::read_to_string(place.join("own/samples/arc_challenge.jsonl")).unwrap();
    let right: std::collections::HashMap<u64, bool> = own
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line: Value| (line["row"].as_u64().unwrap(), line["acc"] == 1.0))
        .collect();
    write_04(&place.join("there"), &[arc(&tasks)]);
    let found = compared(place, &["own", "there", "--common"]);
    let row = &found["parents"][0]["tasks"][0];
    let count = |ours: bool, theirs: bool| {
        right.iter().filter(|(row, right)| **right == ours && row.is_multiple_of(3) == theirs).count()
    };
    assert_eq!((&row["metric"], row["n"].as_u64()), (&json!("acc"), Some(16)));
    assert_eq!(
        (row["won"].as_u64(), row["lost"].as_u64()),
        (Some(count(true, false) as u64), Some(count(false, true) as u64))
    );
    assert_eq!(found["parents"][0]["name"], "some/model");

    // A run with other shots is not comparable.
    evaluated(place, "fewer", &["--tasks", "arc_challenge", "--num-fewshot", "3"]);
    let said = refused(place, &["fewer", "there"]);
    let expected = "16 of 16 documents were not asked as arc_challenge is asked here, the first is document 0\nhint: other shots";
    assert!(said.contains(expected), "{said}");
    // The prompts of our run cannot be built any more.
    let said = refused(place, &["own", "there", "--datasets", "gone"]);
    assert!(
        said.contains(
            "error: own: what it was asked in arc_challenge cannot be built again: gone is not there"
        ),
        "{said}"
    );
    let said = refused(place, &["own", "nowhere.json"]);
    assert!(said.contains("nowhere.json: no such run"), "{said}");
}

#[test]
fn published_scores_are_compared_by_their_counts() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let [a, b] = ["24", "21"].map(|n| format!("published.csv:Gille/StrangeMerges_{n}-7B-slerp"));
    let found = compared(place, &[&a, &b]);
    let rows = found["parents"][0]["tasks"].as_array().unwrap();
    let of = |name: &str| rows.iter().find(|row| row["task"] == name).unwrap();
    for (name, n) in [("ARC", 1172), ("HellaSwag", 10_042), ("Winogrande", 1267), ("GSM8K", 1319)] {
        assert_eq!((&of(name)["n"], &of(name)["paired"]), (&json!(n), &json!(false)));
        assert!(of(name)["p"].is_number() && of(name)["won"].is_null(), "{name}");
    }
    // Pearson's chi-squared test of 910 and 938 of 1,319: scipy.stats.chi2_contingency([[910, 409], [938,
    // 381]], correction=False) gives 0.234; the test used here is covered by the comparison's own tests.
    assert!((of("GSM8K")["p"].as_f64().unwrap() - 0.234).abs() < 0.02);
    for name in ["MMLU", "TruthfulQA"] {
        assert!(of(name)["p"].is_null() && of(name)["difference"].is_number(), "{name}");
    }
    assert!(found["parents"][0]["average"]["p"].is_null());

    fs::write(place.join("own.csv"), "Model,ARC,MMLU\nm,50.0,60\nm,1,2\nn,sixty,1\no,,\np,101,1\nq,NaN,1\n")
        .unwrap();
    for (model, expected) in [
        ("own.csv:m", "own.csv:3: `m` stands at line 2 too"),
        ("own.csv:n", "own.csv:4: `ARC` is `sixty`, expected percent"),
        ("own.csv:o", "own.csv:5: no score, expected one of ARC,"),
        ("own.csv:p", "own.csv:6: `ARC` is `101`, expected percent"),
        ("own.csv:q", "own.csv:7: `ARC` is `NaN`, expected percent"),
        ("own.csv:r", "own.csv: no model `r`"),
        ("other.csv:r", "other.csv: cannot be read: there is no such file"),
    ] {
        let said = refused(place, &[&a, model]);
        assert!(said.contains(&format!("error: {expected}")), "{said}");
    }
}

#[test]
fn the_cost_of_a_stop_is_told_for_each_model() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    for (out, views) in [("a", true), ("b", true), ("c", false)] {
        let flag: &[&str] = if views { &["--gsm8k-views"] } else { &[] };
        evaluated(place, out, &[&["--tasks", "gsm8k"], flag].concat());
    }
    let found = compared(place, &["a", "b"]);
    let models = found["stops"]["gsm8k"]["models"].as_array().unwrap();
    assert_eq!((models.len(), &found["stops"]["gsm8k"]["stops"]), (2, &json!([":"])));
    for model in models {
        let score = |metric: &str| model[metric].as_f64().unwrap();
        assert_eq!(score("cost"), score("acc_no_colon") - score("acc"));
        assert!(score("acc_flexible").is_finite());
    }
    let output = assay(place).args(["compare", "a", "b"]).output().unwrap();
    assert!(stdout(&output).contains("gsm8k up to \":\" and beyond\n"), "{}", stdout(&output));
    // A run without views is compared as the leaderboard did, and reports nothing beyond the stop.
    let found = compared(place, &["a", "c"]);
    assert_eq!(found["parents"][0]["tasks"][0]["metric"], "acc");
    assert_eq!(found["stops"]["gsm8k"]["models"].as_array().unwrap().len(), 1);
    assert!(compared(place, &["c", "b"])["stops"]["gsm8k"]["models"][0]["name"].is_string());
}

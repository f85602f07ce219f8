//! `--gsm8k-views`: one text, read up to the leaderboard's stops and beyond them.

use std::path::Path;

use serde_json::Value;

use super::{assay, run, stderr, stdout};

fn evaluate(folder: &Path, out: &str, more: &[&str]) -> String {
    let mut command = assay(folder);
    command.args(["eval", "--tasks", "gsm8k,winogrande", "--limit", "8", "--output", out]).args(more);
    // All runs share a response cache.
    let output = command.env("ASSAY_CACHE", folder.join("cache")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn lines(folder: &Path, out: &str, task: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(out).join(format!("samples/{task}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Takes what a line holds about the text beyond its stops out of it.
fn take_beyond(line: &mut Value) -> (Value, [f64; 2]) {
    let line = line.as_object_mut().unwrap();
    let beyond = line["requests"][0].as_object_mut().unwrap().shift_remove("beyond").unwrap();
    let near_ties = line["near_tie"].as_object_mut().unwrap();
    for metric in ["acc_no_colon", "acc_flexible"] {
        assert!(near_ties.shift_remove(metric).unwrap().is_boolean());
    }
    let values =
        ["acc_no_colon", "acc_flexible"].map(|metric| line.shift_remove(metric).unwrap().as_f64().unwrap());
    (beyond, values)
}

#[test]
fn the_leaderboard_s_view_is_that_of_a_run_without_others() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    evaluate(place, "plain", &[]);
    let said = evaluate(place, "views", &["--gsm8k-views"]);
    // A run without the flag does not get the cached answers of one with it.
    evaluate(place, "again", &[]);
    for file in ["samples/gsm8k.jsonl", "samples/winogrande.jsonl", "results.json"] {
        let bytes = |out: &str| std::fs::read(place.join(out).join(file)).unwrap();
        assert_eq!(bytes("plain"), bytes("again"), "{file}");
    }
    assert_eq!(lines(place, "plain", "winogrande"), lines(place, "views", "winogrande"));

    let plain = lines(place, "plain", "gsm8k");
    let mut views = lines(place, "views", "gsm8k");
    let mut sums = [0.0; 2];
    let mut longer = 0;
    for (plain, line) in plain.iter().zip(&mut views) {
        let (beyond, values) = take_beyond(line);
        assert_eq!(line, plain);
        sums = [sums[0] + values[0], sums[1] + values[1]];
        // The text continues only where it was truncated.
        let (text, whole) =
            (plain["requests"][0]["text"].as_str().unwrap(), beyond["text"].as_str().unwrap());
        assert!(whole.starts_with(text), "{whole:?} does not begin with {text:?}");
        assert!(whole == text || whole[text.len()..].starts_with(':'), "{whole:?} after {text:?}");
        assert!(!whole.contains("Question"), "{whole:?}");
        longer += usize::from(beyond["num_tokens"].as_u64() > plain["requests"][0]["num_tokens"].as_u64());
    }
    assert!(longer > 0, "no text of the sample model goes on past a colon");

    let (before, after) = (json(&place.join("plain/results.json")), json(&place.join("views/results.json")));
    let scores = &after["results"]["gsm8k"];
    for key in ["acc", "acc_stderr", "acc_near_ties"] {
        assert_eq!(before["results"]["gsm8k"][key], scores[key], "{key}");
    }
    assert_eq!(before["suite"], after["suite"]);
    assert_eq!(scores["acc_no_colon"].as_f64().unwrap(), sums[0] / 8.0);
    assert_eq!(scores["acc_flexible"].as_f64().unwrap(), sums[1] / 8.0);
    assert!(before["results"]["gsm8k"].get("acc_no_colon").is_none());
    let cost = 100.0 * (scores["acc_no_colon"].as_f64().unwrap() - scores["acc"].as_f64().unwrap());
    assert!(said.contains(&format!("the stop cost {cost:.2} points")), "{said}");
    assert!(said.contains(&format!("{longer} of 8 texts go on.")), "{said}");

    // The prompts are the same, but the runs' identities differ.
    let (plain, views) = (json(&place.join("plain/run.json")), json(&place.join("views/run.json")));
    assert_eq!((&plain["views"], &views["views"]), (&Value::from(false), &Value::from(true)));
    assert_ne!(plain["identity"], views["identity"]);
    for key in ["prompts_blake3", "tokens_blake3"] {
        assert_eq!(plain["tasks"]["gsm8k"][key], views["tasks"]["gsm8k"][key]);
    }
    assert!(plain["tokens_generated"].as_u64() < views["tokens_generated"].as_u64());
    for out in ["plain", "views"] {
        let verified = assay(place).args(["verify", out]).output().unwrap();
        assert!(verified.status.success(), "{}", stdout(&verified));
    }
}

#[test]
fn an_edit_of_what_stands_beyond_shows() {
    let folder = tempfile::tempdir().unwrap();
    evaluate(folder.path(), "out", &["--gsm8k-views"]);
    let path = folder.path().join("out/samples/gsm8k.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    for (from, to, shows) in [
        ("\"beyond\":{\"text\":\"", "\"beyond\":{\"text\":\"#### 1", "answers in the journal"),
        ("\"acc_flexible\":0.0", "\"acc_flexible\":1.0", "metrics of gsm8k"),
        ("\"beyond\":{", "\"other\":{", "metrics of gsm8k"),
    ] {
        assert!(whole.contains(from), "{from}");
        std::fs::write(&path, whole.replacen(from, to, 1)).unwrap();
        let verified = assay(folder.path()).args(["verify", "out"]).output().unwrap();
        assert_eq!(verified.status.code(), Some(1));
        assert!(stdout(&verified).contains(&format!("differs      {shows}")), "{}", stdout(&verified));
    }
}

#[test]
fn a_folder_of_the_other_kind_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    evaluate(folder.path(), "out", &[]);
    let arguments =
        ["eval", "--tasks", "gsm8k,winogrande", "--limit", "8", "--output", "out", "--gsm8k-views"];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("error: out: the folder holds another run") && said.contains("views"), "{said}");
}

#[test]
fn tasks_without_views_are_told() {
    let output = run(&["eval", "--tasks", "winogrande", "--limit", "1", "--gsm8k-views"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    let expected = "error: --gsm8k-views: none of the chosen tasks has other views of its texts\n\
                    hint: choose a task whose file declares `views`, or leave --gsm8k-views out\n";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn flexible_extraction_is_the_harness_s() {
    use assay::metric::Scorer;
    use assay::task::{Task, TaskIndex};
    use assay::vocabulary::{DocumentRequests, Gold, Response, View, Written};

    let texts = [
        "So it is 12 + 6 = 18.",
        "#### 18",
        "It costs $1,800.00",
        "the answer is 18 dollars, not 3",
        "no number",
        "-18",
        "about 1,018.",
        "He has 5 . . and 18",
        "x 18,",
        "**18**",
    ];
    // lm_eval 0.4.13: RegexFilter(regex_pattern=r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1) and exact_match_fn(.., ignore_case=True,
    // regexes_to_ignore=[",", r"\$", r"(?s).*#### ", r"\.$"]) over these texts, with "Answer #### " and the gold as the reference.
    let expected = [
        ("18", [1, 1, 0, 0, 0, 0, 0, 1, 1, 1]),
        ("1800", [0; 10]),
        ("1018", [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
        ("-18", [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
    ];
    let index = TaskIndex::load(&[]).unwrap();
    let tasks = index.select(&["gsm8k".to_string()]).unwrap().tasks;
    let task: Task = tasks.into_iter().next().unwrap().with_views();
    let scorer = Scorer::for_task(&task).unwrap();
    for (gold, values) in expected {
        let gold = Gold::Answer(gold.to_string());
        let document = DocumentRequests {
            task: "gsm8k".into(),
            doc_id: 0,
            row: 0,
            gold: gold.clone(),
            requests: Vec::new(),
            choices: Vec::new(),
            views: vec![View { choices: 0..0, gold: gold.clone() }; task.metrics.len()],
        };
        for (text, value) in texts.iter().zip(values) {
            let beyond = Some(Written { text: text.to_string(), num_tokens: 9, near_ties: 0 });
            let response = Response::Generation { text: String::new(), num_tokens: 1, near_ties: 0, beyond };
            let measured = scorer.score(&document, &[response]).unwrap();
            let flexible = measured.iter().find(|measured| measured.name == "acc_flexible").unwrap();
            assert_eq!(flexible.value, f64::from(value), "{text:?}, gold {gold:?}");
        }
    }
}

//! `assay verify`: a run checked against its record, and against another run.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::{assay, run, stderr, stdout};

const JOB: [&str; 8] = [
    "eval",
    "--tasks",
    "truthfulqa_mc,gsm8k,hendrycksTest-anatomy",
    "--limit",
    "3",
    "--output",
    "out",
    "--no-cache",
];

fn evaluated() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = assay(folder.path()).args(JOB).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    folder
}

fn verify(folder: &Path, arguments: &[&str]) -> Output {
    assay(folder).arg("verify").args(arguments).output().unwrap()
}

#[test]
fn an_untouched_run_is_what_its_record_says() {
    let folder = evaluated();
    let output = verify(folder.path(), &["out"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    insta::assert_snapshot!(stdout(&output), @r"
    same         run.json
    same         file (4)
    same         facts of the record
    same         facts in results.json
    same         whether it is ranked
    same         metrics (3)
    same         columns and average of leaderboard_v1
    same         the run that the journal is of
    same         work in the journal
    same         answers in the journal (33)
    same         weights built-in/model.safetensors
    same         configuration of the model
    same         tokenizer
    same         tokens that end a text
    same         task file (3)
    same         requests cut to the model's context (3)
    same         rows (5)
    same         prompts (3)
    same         tokens (3)
    same         lighteval's hashes, documents and shots (3)
    same         choices and right answers (3)
    not checked  times, memory, threads and arguments: only the record tells them
    not checked  the model's answers themselves: only the model can give them again: `assay eval --no-cache`
    42 the same, 0 differ, 2 not checked
    ");
    // The run's folder may be moved, and verified from anywhere.
    std::fs::rename(folder.path().join("out"), folder.path().join("moved")).unwrap();
    let all = verify(folder.path(), &["moved", "--format", "json"]);
    assert!(all.status.success());
    let findings: Vec<Value> = serde_json::from_str(&stdout(&all)).unwrap();
    assert_eq!(findings.len(), 44);
    assert!(findings.iter().all(|finding| finding["verdict"] != "differs"));
}

/// Replaces the first `from` in a file of the run.
fn edit(out: &Path, file: &str, from: &str, to: &str) {
    let path = out.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file}: no `{from}`");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn every_edit_shows() {
    let folder = evaluated();
    let out = folder.path().join("out");
    let samples = |task: &str| std::fs::read_to_string(out.join(format!("samples/{task}.jsonl"))).unwrap();
    let first: Value =
        serde_json::from_str(samples("hendrycksTest-anatomy").lines().next().unwrap()).unwrap();
    let ll = first["requests"][0]["loglikelihood"].to_string();
    let (acc, gold) = (first["acc"].as_f64().unwrap(), first["gold"].to_string());
    let other_gold = if gold == "0" { "1" } else { "0" };
    let edits: [(&str, String, String, &str); 9] = [
        ("run.json", "\"threads\": ".into(), "\"threads\": 1".into(), "run.json"),
        ("run.json", "\"dtype\": \"float32\"".into(), "\"dtype\": \"bfloat16\"".into(), "run.json"),
        ("results.json", "\"limit\": 3".into(), "\"limit\": null".into(), "file of results.json"),
        ("results.json", "\"acc\": ".into(), "\"acc\": 1".into(), "metrics of gsm8k"),
        ("samples/hendrycksTest-anatomy.jsonl", ll.clone(), "-0.001".into(), "answers in the journal (33)"),
        (
            "samples/hendrycksTest-anatomy.jsonl",
            format!("\"acc\":{acc:.1}"),
            format!("\"acc\":{:.1}", 1.0 - acc),
            "metrics of hendrycksTest-anatomy",
        ),
        (
            "samples/hendrycksTest-anatomy.jsonl",
            format!("\"gold\":{gold}"),
            format!("\"gold\":{other_gold}"),
            "choices and right answers of hendrycksTest-anatomy",
        ),
        (
            "samples/gsm8k.jsonl",
            "\"text\":\"".into(),
            "\"text\":\"#### 1".into(),
            "answers in the journal (33)",
        ),
        ("journal", "\"doc_id\":0".into(), "\"doc_id\":7".into(), "journal"),
    ];
    for (file, from, to, shows) in edits {
        let whole = std::fs::read(out.join(file)).unwrap();
        edit(&out, file, &from, &to);
        let output = verify(folder.path(), &["out"]);
        assert_eq!(output.status.code(), Some(1), "{file}: {from}: {}", stdout(&output));
        let said = stdout(&output);
        assert!(
            said.contains(&format!("\ndiffers      {shows}: "))
                || said.starts_with(&format!("differs      {shows}: ")),
            "{said}"
        );
        std::fs::write(out.join(file), whole).unwrap();
    }
    // Missing files and extra files.
    std::fs::write(out.join("samples/more.jsonl"), b"").unwrap();
    std::fs::remove_file(out.join("samples/gsm8k.jsonl")).unwrap();
    let said = stdout(&verify(folder.path(), &["out"]));
    assert!(said.contains("differs      file of samples/more.jsonl: it is there"), "{said}");
    assert!(
        said.contains("differs      file of samples/gsm8k.jsonl: out/samples/gsm8k.jsonl: cannot be read"),
        "{said}"
    );
    assert!(said.contains("differs      metrics of gsm8k: "), "{said}");
}

#[test]
fn what_cannot_be_reached_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    std::fs::write(place.join("c.csv"), "q,a,b\nFrance,Lyon,Paris\nItaly,Milan,Rome\n").unwrap();
    std::fs::create_dir(place.join("own")).unwrap();
    let task = "task: capitals\ndataset_path: csv\ndataset_kwargs: {data_files: {test: ../c.csv}}\n\
                output_type: multiple_choice\ntest_split: test\ndoc_to_text: \"{{q}}:\"\n\
                doc_to_choice: \"{{[a, b]}}\"\ndoc_to_target: 1\n";
    std::fs::write(place.join("own/capitals.yaml"), task).unwrap();
    let job = ["eval", "--tasks", "capitals", "--include", "own", "--output", "out"];
    let output = assay(place).args(job).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let output = verify(place, &["out"]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(!stdout(&output).contains("not checked  task file"));

    std::fs::rename(place.join("own"), place.join("elsewhere")).unwrap();
    let output = verify(place, &["out"]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).contains("not checked  task file of capitals: unknown task `capitals`"));
    assert!(stdout(&output).contains("same         metrics of capitals"));
    assert!(
        stdout(&verify(place, &["out", "--include", "elsewhere"]))
            .contains("same         task file of capitals")
    );

    std::fs::write(place.join("elsewhere/capitals.yaml"), task.replace("q}}:", "q}} -")).unwrap();
    let output = verify(place, &["out", "--include", "elsewhere"]);
    assert_eq!(output.status.code(), Some(1));
    for differs in ["task file", "prompts", "tokens"] {
        assert!(stdout(&output).contains(&format!("differs      {differs} of capitals: recorded ")));
    }

    let output = run(&["verify", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: nowhere/run.json: cannot be read: "), "{}", stderr(&output));
}

#[test]
fn two_runs_are_compared_by_what_they_asked_before_their_scores() {
    let folder = evaluated();
    let job = ["eval", "--tasks", "truthfulqa_mc,gsm8k,hendrycksTest-anatomy", "--limit", "3", "--no-cache"];
    for (out, more) in [("twin", &["--threads", "1"][..]), ("other", &["--num-fewshot", "1"][..])] {
        let output = assay(folder.path()).args(job).args(["--output", out]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let same = verify(folder.path(), &["out", "--against", "twin"]);
    assert!(same.status.success(), "{}", stdout(&same));
    let output = verify(folder.path(), &["out", "--against", "other"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    let place = |text: &str| said.find(text).unwrap_or_else(|| panic!("no `{text}` in {said}"));
    assert!(place("differs      num_fewshot: none in out, `1` in other") < place("scores"));
    assert!(
        place("differs      task gsm8k: num_fewshot `5` in out, `1` in other; prompts ") < place("scores")
    );
    assert!(said.contains("same         task truthfulqa_mc\n"), "it has no shots: {said}");
    // Answers may differ even if no score does.
    edit(&folder.path().join("twin"), "samples/gsm8k.jsonl", "\"text\":\"", "\"text\":\"x");
    let output = verify(folder.path(), &["out", "--against", "twin"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(
        said.contains("differs      samples of gsm8k: 1 of 3 documents, the first in line 1\n"),
        "{said}"
    );
    assert!(
        said.contains("differs      files of twin, beside its record: file of samples/gsm8k.jsonl"),
        "{said}"
    );
}

#[test]
fn the_certificate_lists_what_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(super::repository("sample_model").join(file), model.join(file)).unwrap();
    }
    let config = model.join("config.json");
    let mut short: Value = serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    short["max_position_embeddings"] = 400.into();
    std::fs::write(&config, short.to_string()).unwrap();
    let job = [
        "eval",
        "--samples",
        "--tasks",
        "arc_challenge,winogrande",
        "--limit",
        "3",
        "--model",
        "model",
        "--output",
        "out",
    ];
    let output = assay(folder.path()).args(job).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(folder.path().join("out/run.json")).unwrap();
    let run: Value = serde_json::from_str(&text).unwrap();
    let task = &run["tasks"]["arc_challenge"];
    let cut = task["truncated"].as_array().unwrap();
    assert!(!cut.is_empty() && task["truncated_requests"] == cut.len());
    assert!(cut.iter().all(|cut| cut["cut_tokens"].as_u64() > Some(0) && cut["doc_id"].as_u64() < Some(3)));
    let all = cut.len() + run["tasks"]["winogrande"]["truncated"].as_array().unwrap().len();
    assert!(stderr(&output).contains(&format!(
        "warning: {all} requests are longer than the model's context and are cut from the left; run.json lists them"
    )));
    assert!(verify(folder.path(), &["out"]).status.success());
}

#[test]
fn the_cache_is_shown_and_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let assay = |arguments: &[&str]| {
        let output = super::assay(folder.path()).env("ASSAY_CACHE", &cache).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    assay(&["eval", "--tasks", "winogrande", "--limit", "2", "--output", "a"]);
    assay(&["eval", "--tasks", "winogrande", "--limit", "2", "--output", "b", "--dtype", "bf16"]);
    let listed: Value = serde_json::from_str(&stdout(&assay(&["cache", "--format", "json"]))).unwrap();
    let models = listed["models"].as_array().unwrap();
    let formats: Vec<&str> = models.iter().map(|m| m["identity"]["dtype"].as_str().unwrap()).collect();
    assert_eq!(formats, ["bfloat16", "float32"], "the last used first");
    assert!(models.iter().all(|model| model["answers"] == 4 && model["model"] == "sample_model"));
    assert!(stdout(&assay(&["cache"])).lines().next().unwrap().contains("Answers"));

    // If only one model fits, the older one is removed.
    let size = models[0]["bytes"].to_string();
    assert!(stderr(&assay(&["cache", "prune", "--max-size", &size])).contains("of 1 models"));
    assay(&["eval", "--tasks", "winogrande", "--limit", "2", "--output", "c", "--cache-size", "1"]);
    let listed: Value = serde_json::from_str(&stdout(&assay(&["cache", "--format", "json"]))).unwrap();
    assert_eq!(listed["models"].as_array().unwrap().len(), 0, "no model fits into one byte");
    assay(&["cache", "prune", "--older-than", "1h"]);
    assay(&["cache", "prune", "--all"]);
}

/// An edited record with a new seal still has to agree with everything else.
#[test]
fn an_edited_record_with_a_new_seal_still_shows() {
    let folder = evaluated();
    let out = folder.path().join("out");
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    let edits: [(&str, Value); 18] = [
        ("/dtype", "bfloat16".into()),
        ("/kernels", "plain".into()),
        ("/numerics", "0".into()),
        ("/assay", "9.9.9".into()),
        ("/model/name", "other".into()),
        ("/end_of_text", Value::Array(Vec::new())),
        ("/interrupted", true.into()),
        ("/tokens_computed", 1.into()),
        ("/answers/from_cache", 3.into()),
        ("/tasks/gsm8k/near_ties/acc", 7.into()),
        ("/tasks/gsm8k/truncated_requests", 7.into()),
        ("/tasks/gsm8k/available", 7.into()),
        ("/tasks/gsm8k/num_fewshot", 7.into()),
        ("/tasks/gsm8k/lighteval/hash_full_prompts", "0".into()),
        ("/tasks/gsm8k/datasets/0/rows", 7.into()),
        ("/tasks/gsm8k/datasets/0/pin", "same".into()),
        ("/tasks/gsm8k/included", true.into()),
        ("/limit", Value::Null),
    ];
    for (place, value) in edits {
        let mut edited = whole.clone();
        *edited.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = value;
        let seal = assay::store::seal_of(edited.as_object().unwrap());
        edited["seal"] = seal.to_string().into();
        std::fs::write(out.join("run.json"), format!("{edited:#}\n")).unwrap();
        let output = verify(folder.path(), &["out"]);
        assert_eq!(output.status.code(), Some(1), "{place}: {}", stdout(&output));
        assert!(stdout(&output).starts_with("same         run.json\n"));
    }
    std::fs::write(out.join("run.json"), format!("{whole:#}\n")).unwrap();
    std::fs::remove_file(out.join("results.json")).unwrap();
    let output = verify(folder.path(), &["out"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("differs      results.json: out/results.json: cannot be read"));
}

//! `assay eval` with the built-in model, tasks and samples.

use serde_json::Value;

use super::{assay, repository, run, stderr, stdout};

fn json(path: &std::path::Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_suite_runs_on_nothing_but_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let output = assay(folder.path()).args(["eval", "--tasks", "all", "--output", "out"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output)
            .contains("These are built-in samples, not the benchmarks: the numbers are not scores.")
    );
    assert!(stderr(&output).contains("62 tasks"), "{}", stderr(&output));

    let out = folder.path().join("out");
    let results = json(&out.join("results.json"));
    assert_eq!(results["results"].as_object().unwrap().len(), 62);
    assert_eq!(results["versions"]["truthfulqa_mc"], 1);
    assert_eq!(results["suite"]["ranked"], false);
    let run = json(&out.join("run.json"));
    assert_eq!(run["tokens_planned"], run["tokens_computed"], "every distinct prefix is computed once");
    assert_eq!(run["rows_per_pass"], 1024);
    assert!(run["tokens_alone"].as_u64() > run["tokens_planned"].as_u64());
    assert_eq!(run["model"]["weights"][0]["blake3"].as_str().unwrap().len(), 64);

    // `assay plan` gives the engine's own counts.
    let tokenizer = repository("sample_model/tokenizer.json");
    let arguments =
        ["plan", "--tasks", "all", "--format", "json", "--tokenizer", tokenizer.to_str().unwrap()];
    let plan: Value = serde_json::from_str(&stdout(&super::run(&arguments))).unwrap();
    for count in ["tokens_alone", "tokens_planned"] {
        assert_eq!(plan["total"][count], run[count], "{count}");
    }
    assert_eq!(plan["tasks"].as_object().unwrap().len(), 62);

    // A column is the mean over its tasks, the average the mean over the columns.
    let columns: Vec<f64> =
        results["suite"]["columns"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(columns.len(), 6);
    let average = results["suite"]["average"].as_f64().unwrap();
    assert!((average - columns.iter().sum::<f64>() / 6.0).abs() < 1e-12);

    // Every document has a line, in order, and its metrics average to the results.
    let samples = std::fs::read_to_string(out.join("samples/truthfulqa_mc.jsonl")).unwrap();
    let lines: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10);
    let mc2: f64 = lines.iter().map(|line| line["mc2"].as_f64().unwrap()).sum::<f64>() / 10.0;
    assert!((mc2 - results["results"]["truthfulqa_mc"]["mc2"].as_f64().unwrap()).abs() < 1e-12);
    for (place, line) in lines.iter().enumerate() {
        assert_eq!(line["doc_id"], place);
        assert!(line["gold"].is_array());
        assert!(line["requests"].as_array().unwrap().iter().all(|r| r["num_tokens"].as_u64() > Some(0)));
    }
    let texts = std::fs::read_to_string(out.join("samples/gsm8k.jsonl")).unwrap();
    let first: Value = serde_json::from_str(texts.lines().next().unwrap()).unwrap();
    assert!(first["gold"].is_string() && first["requests"][0]["text"].is_string());
}

#[test]
fn drafts_change_the_work_and_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let run = |when: &str| {
        let arguments = ["eval", "--tasks", "gsm8k", "--speculate", when, "--output", when, "--no-cache"];
        let output = assay(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let verified = assay(folder.path()).args(["verify", when]).output().unwrap();
        assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
        let out = folder.path().join(when);
        let files = ["samples/gsm8k.jsonl", "results.json"];
        (files.map(|file| std::fs::read(out.join(file)).unwrap()), json(&out.join("run.json")))
    };
    let (plain, without) = run("off");
    assert_eq!((&without["tokens_drafted"], &without["tokens_per_step"]), (&0.into(), &1.0.into()));
    for when in ["auto", "on"] {
        let (files, with) = run(when);
        assert_eq!(files, plain);
        for count in ["tokens_computed", "tokens_planned", "tokens_generated"] {
            assert_eq!(with[count], without[count], "{count}");
        }
        let count = |name: &str| with[name].as_u64().unwrap();
        assert!((1..=count("tokens_drafted")).contains(&count("tokens_accepted")));
        assert!(count("passes") < without["passes"].as_u64().unwrap());
        let steps = count("tokens_generated") - count("tokens_accepted");
        assert_eq!(with["tokens_per_step"], count("tokens_generated") as f64 / steps as f64);
    }
}

#[test]
fn a_limited_run_is_the_beginning_of_the_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    for (out, limit) in [("whole", "12"), ("part", "3")] {
        let arguments = ["eval", "--tasks", "winogrande", "--limit", limit, "--output", out];
        let output = assay(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let lines = |out: &str| {
        std::fs::read_to_string(folder.path().join(out).join("samples/winogrande.jsonl")).unwrap()
    };
    let fields = |text: &str| -> Vec<(Value, Value)> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["row"].clone(), line["gold"].clone())).collect()
    };
    assert_eq!(fields(&lines("part")), fields(&lines("whole"))[..3]);
}

#[test]
fn a_folder_that_holds_results_without_a_journal_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    std::fs::write(folder.path().join("out/results.json"), b"{}").unwrap();
    let arguments = ["eval", "--tasks", "winogrande", "--limit", "1", "--output", "out"];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: out: the folder holds another run (results.json)\nhint: name another folder with --output, or remove this one\n"
    );
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
}

#[test]
fn one_s_own_task_is_a_file_over_a_csv() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("capitals.csv"),
        "country,wrong,right\nFrance,Lyon,Paris\nItaly,Milan,Rome\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("capitals.yaml"),
        "task: capitals\ndataset_path: csv\ndataset_kwargs: {data_files: {test: capitals.csv}}\n\
         output_type: multiple_choice\ntest_split: test\ndoc_to_text: \"The capital of {{country}} is\"\n\
         doc_to_choice: \"{{[wrong, right]}}\"\ndoc_to_target: 1\n",
    )
    .unwrap();
    let arguments = ["eval", "--tasks", "capitals", "--include", ".", "--output", "out"];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let results = json(&folder.path().join("out/results.json"));
    assert!(results["results"]["capitals"]["acc"].is_number());
    assert_eq!(results["suite"], Value::Null);
}

#[test]
fn requests_show_text_and_tokens() {
    let tokenizer = repository("sample_model/tokenizer.json");
    let output = run(&[
        "requests",
        "--tasks",
        "winogrande",
        "--limit",
        "1",
        "--tokenizer",
        tokenizer.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let line: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!((&line["task"], &line["doc_id"]), (&Value::from("winogrande"), &Value::from(0)));
    let requests = line["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["continuation"], requests[1]["continuation"]);
    assert_ne!(requests[0]["context"], requests[1]["context"]);
    assert!(!requests[0]["continuation_tokens"].as_array().unwrap().is_empty());
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_finished() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let mut child = assay(folder.path())
        .args(["eval", "--tasks", "all", "--output", "out"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("arc_challenge: acc")), "the first task ends");
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line == "results in out"), "{rest:?}");
    let results = json(&folder.path().join("out/results.json"));
    assert_eq!(results["n-samples"]["arc_challenge"]["effective"], 16);
    assert!(results["suite"]["unranked_because"].as_array().unwrap().contains(&"interrupted".into()));
    assert_eq!(results["suite"]["average"], Value::Null);
    assert_eq!(json(&folder.path().join("out/run.json"))["interrupted"], true);
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_outlives_its_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let arguments = ["eval", "--tasks", "winogrande", "--limit", "1", "--output", "out"];
    let status = assay(folder.path())
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(full())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(folder.path().join("out/results.json").exists());
}

#[test]
fn part_of_a_dataset_is_not_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/allenai/winogrande/winogrande_xl");
    std::fs::create_dir_all(&path).unwrap();
    let row = "{\"sentence\": \"A _ b.\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"1\"}\n";
    std::fs::write(path.join("train-00000-of-00001.jsonl"), row.repeat(9)).unwrap();
    std::fs::write(path.join("validation-00000-of-00001.jsonl"), row).unwrap();
    std::fs::create_dir(folder.path().join("merge-v0.1")).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(repository("sample_model").join(name), folder.path().join("merge-v0.1").join(name))
            .unwrap();
    }
    let arguments = ["eval", "--tasks", "winogrande", "--datasets", "data", "--model", "merge-v0.1"];
    let output = assay(folder.path()).args(arguments).arg("--allow-dataset-change").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("has 1 rows with the hash "), "{}", stderr(&output));
    let run = std::fs::read_dir(folder.path().join("results")).unwrap().next().unwrap().unwrap().path();
    assert!(run.file_name().unwrap().to_string_lossy().starts_with("merge-v0.1-20"), "{run:?}");
    let suite = &json(&run.join("results.json"))["suite"];
    let reasons = suite["unranked_because"].as_array().unwrap();
    assert!(reasons.contains(&"1 of 1267 rows in `validation` of winogrande".into()), "{reasons:?}");
    assert!(reasons.contains(&"1 of 6 columns".into()), "{reasons:?}");
}

#[test]
fn texts_end_at_the_tokens_of_the_generation_config() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(repository("sample_model").join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("generation_config.json"), "{\"eos_token_id\": [2, 77]}").unwrap();
    let model = assay::model::Model::load(folder.path(), Default::default()).unwrap();
    assert_eq!(model.facts().eos_token_ids, [2, 77]);
}

#[test]
fn a_task_file_in_place_of_a_built_in_one_is_not_ranked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.csv"), "q,a\nx,0\n").unwrap();
    std::fs::write(
        folder.path().join("own.yaml"),
        "task: winogrande\ndataset_path: csv\ndataset_kwargs: {data_files: {test: own.csv}}\ntest_split: test\n\
         output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [y, z]\ndoc_to_target: a\n",
    )
    .unwrap();
    let arguments = ["eval", "--tasks", "winogrande", "--include", ".", "--output", "out"];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let results = json(&folder.path().join("out/results.json"));
    let reasons = results["suite"]["unranked_because"].as_array().unwrap();
    assert!(reasons.contains(&"a task file of one's own for winogrande".into()), "{reasons:?}");
}

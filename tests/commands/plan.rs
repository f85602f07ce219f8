//! `assay plan` and `assay eval --dry-run`: what a run would take, before weights are read.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::{assay, repository, run, stderr, stdout};

fn command(folder: &Path, arguments: &[&str]) -> Output {
    let output = assay(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// A copy of the sample model's files in `place`, with another configuration.
fn model(place: &Path, files: &[&str], edit: impl FnOnce(&mut Value)) {
    std::fs::create_dir_all(place).unwrap();
    for file in files {
        std::fs::copy(repository("sample_model").join(file), place.join(file)).unwrap();
    }
    let text = std::fs::read_to_string(repository("sample_model/config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    edit(&mut config);
    std::fs::write(place.join("config.json"), config.to_string()).unwrap();
}

const TOKENIZER: [&str; 2] = ["tokenizer.json", "tokenizer_config.json"];

#[test]
fn tasks_that_share_a_tag_are_one_row_unless_each_is_asked_for() {
    let table = |more: &[&str]| {
        let tasks = ["plan", "--tasks", "winogrande,mmlu", "--limit", "1", "--threads", "1"];
        stdout(&run(&[&tasks[..], more].concat()))
    };
    let rows = |text: &str| -> Vec<String> {
        let rows = text.lines().skip(1).take_while(|line| !line.is_empty());
        rows.filter_map(|row| row.split("  ").next().map(|name| name.trim().to_string())).collect()
    };
    assert_eq!(rows(&table(&[])), ["winogrande", "mmlu (57 tasks)", "all"]);
    let each = rows(&table(&["--by-subject"]));
    assert_eq!(each.len(), 1 + 57 + 1);
    assert!(each.iter().any(|name| name.starts_with("hendrycksTest-")), "{each:?}");
    // A run's table has the same rows.
    let eval = |more: &[&str]| {
        let tasks = ["eval", "--tasks", "mmlu", "--limit", "1", "-q"];
        stdout(&run(&[&tasks[..], more].concat()))
    };
    // Two metrics a task.
    assert_eq!(eval(&[]).matches("mmlu (57 tasks)").count(), 2);
    assert_eq!(eval(&["--by-subject"]).matches("hendrycksTest-").count(), 2 * 57);
}

#[test]
fn a_plan_takes_the_models_tokenizer_and_says_time_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    model(&folder.path().join("m"), &TOKENIZER, |_| ());
    // What the hub sends first, before any shard.
    std::fs::write(
        folder.path().join("m/model.safetensors.index.json"),
        json!({"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}).to_string(),
    )
    .unwrap();
    let common = ["--model", "m", "--samples", "--tasks", "all", "--limit", "2"];
    let output = command(folder.path(), &[&["plan"], &common[..]].concat());
    let text = stdout(&output);
    assert!(text.lines().next().unwrap().ends_with("About"), "{text}");
    assert!(text.contains("\n\nTime: about ") && text.contains("\n\nMemory: about "), "{text}");
    assert!(stderr(&output).contains("\nm: MistralForCausalLM, "), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: m: the model's weights are not there"), "{}", stderr(&output));
    // The configuration is enough; a run needs weights, its dry run does not.
    let dry = [&["eval", "--dry-run"], &common[..], &["--name", "x", "--json"]].concat();
    let dry: Value = serde_json::from_str(&stdout(&command(folder.path(), &dry))).unwrap();
    let plan = [&["plan", "--json"], &common[..]].concat();
    let plan: Value = serde_json::from_str(&stdout(&command(folder.path(), &plan))).unwrap();
    for key in ["model", "kv_bytes_per_token"] {
        assert_eq!(dry[key], plan[key]);
    }
    for key in ["documents", "requests", "tokens_planned", "peak_live_kv_tokens"] {
        assert_eq!(dry["total"][key], plan["total"][key]);
        let of =
            |list: &Value| -> u64 { list.as_array().unwrap().iter().filter_map(|f| f[key].as_u64()).sum() };
        if key != "peak_live_kv_tokens" {
            assert_eq!(json!(of(&plan["families"])), plan["total"][key]);
        }
    }
    assert_eq!(plan["tasks"].as_object().unwrap().len(), 62);
    assert!(plan["total"]["expected_seconds"].as_f64().unwrap() > 0.0);
    let memory = &plan["memory"];
    let parameters = plan["model"]["parameters"].as_u64().unwrap();
    assert_eq!(plan["model"]["dtype"], "float32", "as config.json says");
    assert_eq!(memory["weights"], parameters * 4);
    assert_eq!(memory["fits"], true);
    assert!(!folder.path().join("results").exists(), "nothing is written");
}

#[test]
fn a_dry_run_expects_what_the_run_computes() {
    let folder = tempfile::tempdir().unwrap();
    let job = ["eval", "--tasks", "all", "--limit", "2", "--output", "out"];
    let dry = command(folder.path(), &[&job[..], &["--dry-run", "--json"]].concat());
    let dry: Value = serde_json::from_str(&stdout(&dry)).unwrap();
    assert!(!folder.path().join("out").exists());
    command(folder.path(), &job);
    let text = std::fs::read_to_string(folder.path().join("out/run.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(dry["total"]["tokens_planned"], record["tokens_planned"]);
    assert_eq!(dry["model"]["parameters"], record["model"]["parameters"]);
    assert_eq!(dry["model"]["kernels"], record["kernels"]);
    assert_eq!(dry["model"]["name"], record["model"]["name"]);
}

#[test]
fn a_model_that_does_not_fit_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    model(&folder.path().join("huge"), &TOKENIZER, |config| {
        // Ten thousand GiB.
        config["num_hidden_layers"] = json!(4000);
        config["intermediate_size"] = json!(1 << 20);
    });
    let common = ["plan", "--model", "huge", "--samples", "--tasks", "winogrande", "--limit", "1"];
    let text = stdout(&command(folder.path(), &common));
    if std::path::Path::new("/proc/meminfo").exists() {
        assert!(text.contains("Memory: IT DOES NOT FIT: about "), "{text}");
        let json = stdout(&command(folder.path(), &[&common[..], &["--json"]].concat()));
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["memory"]["fits"], false);
    }
}

#[test]
fn real_models_and_rows_are_not_mixed_with_samples_in_a_plan_either() {
    let folder = tempfile::tempdir().unwrap();
    model(&folder.path().join("m"), &TOKENIZER, |_| ());
    let refused = |arguments: &[&str]| {
        let output =
            assay(folder.path()).args(["plan", "--tasks", "winogrande"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    assert!(refused(&["--model", "m"]).starts_with("error: no --datasets: the rows of task `winogrande`"));
    assert!(refused(&["--datasets", "."]).starts_with("error: no --model: "));
}

#[test]
fn a_template_that_refuses_the_system_turn_is_said_in_a_plan_as_in_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("m");
    model(&place, &["tokenizer.json", "model.safetensors"], |_| ());
    let text = std::fs::read_to_string(repository("sample_model/tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["chat_template"] = json!(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    );
    std::fs::write(place.join("tokenizer_config.json"), config.to_string()).unwrap();
    let common = [
        "--model",
        "m",
        "--samples",
        "--tasks",
        "winogrande",
        "--limit",
        "2",
        "--apply-chat-template",
        "--system-instruction",
        "Be brief.",
    ];
    let warning = |command_: &[&str]| {
        let said = stderr(&command(folder.path(), &[command_, &common[..]].concat()));
        let found: Vec<String> = said
            .lines()
            .filter(|line| line.contains("refuses a system's turn"))
            .map(str::to_string)
            .collect();
        assert_eq!(found.len(), 1, "{said}");
        found
    };
    let plan = warning(&["plan"]);
    assert_eq!(plan, warning(&["eval", "--dry-run"]));
    assert_eq!(plan, warning(&["eval"]));
}

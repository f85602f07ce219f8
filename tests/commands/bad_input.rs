//! Any bad input gives one line that names the fault, a hint, the right exit code and no panic.

use std::path::Path;
use std::process::Output;

use super::{assay, repository, stderr};

/// Copies the sample model, so that a test may damage it.
fn copy_of_the_sample_model(folder: &Path) {
    let target = folder.join("model");
    std::fs::create_dir(&target).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(repository("sample_model").join(name), target.join(name)).unwrap();
    }
}

fn assert_fails(output: &Output, code: i32, message: &str) {
    let text = stderr(output);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(errors[0].contains(message), "expected {message:?} in {text}");
    let hint = text.lines().skip_while(|line| !line.starts_with("error: ")).nth(1);
    assert!(hint.is_some_and(|line| line.starts_with("hint: ") && line.len() > 10), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
}

fn fails(arguments: &[&str], code: i32, message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert_fails(&output, code, message);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(
        left.iter().all(|e| e.as_ref().unwrap().file_name() == "results"),
        "nothing is left behind: {left:?}"
    );
}

#[test]
fn arguments() {
    fails(&["eval", "--tasks", "winogrand"], 2, "unknown task `winogrand`");
    fails(
        &["eval", "--tasks", "winogrande", "--limit", "-1"],
        2,
        "invalid value '-1' for '--limit <N|NAME=N,..>'",
    );
    fails(
        &["eval", "--tasks", "winogrande", "--limit", "0"],
        2,
        "invalid value '0' for '--limit <N|NAME=N,..>'",
    );
    fails(&["eval", "--tasks", "winogrande", "--num-fewshot", "-1"], 2, "invalid value '-1'");
    fails(
        &["eval", "--tasks", "winogrande", "--dtype", "f64"],
        2,
        "invalid value 'f64' for '--dtype <TYPE>'",
    );
    fails(
        &["eval", "--tasks", "winogrande", "--device", "tpu"],
        2,
        "invalid value 'tpu' for '--device <DEVICE>'",
    );
    fails(&["eval", "--task", "winogrande"], 2, "unexpected argument '--task' found");
    fails(&["eval"], 2, "--tasks <LIST>");
    fails(&["eval", "--tasks", " , "], 2, "--tasks names no task");
    fails(
        &["eval", "--tasks", "winogrande", "--threads", "65535"],
        2,
        "invalid value '65535' for '--threads <N>'",
    );
    fails(
        &["eval", "--tasks", "winogrande", "--model", "nowhere", "--output", "a/b"],
        2,
        "nowhere: no such model",
    );
    fails(&[], 2, "no command given");
    fails(&["evaluate"], 2, "unrecognized subcommand 'evaluate'");
    fails(&["eval", "--tasks", "winogrande", "--model", "nowhere"], 2, "nowhere: no such model");
    fails(&["eval", "--tasks", "winogrande", "--datasets", "nowhere"], 2, "nowhere: cannot be read");
    fails(&["eval", "--tasks", "winogrande", "--include", "nowhere"], 2, "nowhere: cannot be read");
    fails(&["eval", "--tasks", "winogrande", "--tokenizer", "nowhere"], 2, "nowhere: cannot be read");
    fails(
        &["eval", "--tasks", "winogrande", "--num-fewshot", "100"],
        2,
        "100 shots asked for, `train` has 24 rows",
    );
    fails(
        &["eval", "--tasks", "winogrande", "--output", "/proc/nothing"],
        2,
        "/proc/nothing: cannot be written",
    );
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_there() {
    fails(&["eval", "--tasks", "winogrande", "--device", "cuda:1"], 2, "CUDA");
}

#[test]
fn datasets() {
    let folder = tempfile::tempdir().unwrap();
    let split = |name: &str, text: &str| {
        let path = folder.path().join("data/allenai/winogrande/winogrande_xl");
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join(name), text).unwrap();
    };
    let eval = |extra: &[&str]| {
        let arguments =
            ["eval", "--samples", "--tasks", "winogrande", "--datasets", "data", "--allow-dataset-change"];
        assay(folder.path()).args(arguments).args(extra).output().unwrap()
    };
    std::fs::create_dir(folder.path().join("data")).unwrap();
    assert_fails(&eval(&[]), 2, "data: no dataset `allenai/winogrande`");
    let row = "{\"sentence\": \"A _ b.\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"1\"}\n";
    split("validation-00000-of-00001.jsonl", row);
    assert_fails(&eval(&[]), 2, "no split `train`, found validation");
    split("train-00000-of-00001.jsonl", row);
    assert_fails(&eval(&[]), 2, "5 shots asked for, `train` has 1 rows to draw them from");
    split("train-00000-of-00001.jsonl", &row.repeat(9));
    assert!(eval(&[]).status.success(), "{}", stderr(&eval(&[])));
    split("validation-00000-of-00001.jsonl", &row.replace("\"1\"", "\"3\""));
    assert_fails(&eval(&[]), 2, "row 0 of `validation`: tasks/leaderboard_v1/winogrande.yaml");
    split("validation-00000-of-00001.jsonl", &row.replace("sentence", "sentense"));
    assert_fails(&eval(&[]), 2, "unknown column `sentence` in the template");
    split("validation-00000-of-00001.jsonl", "{\"sentence\": ");
    assert_fails(&eval(&[]), 2, "validation-00000-of-00001.jsonl: line 1");
    std::fs::remove_file(
        folder.path().join("data/allenai/winogrande/winogrande_xl/validation-00000-of-00001.jsonl"),
    )
    .unwrap();
    split("validation-00000-of-00001.parquet", "PAR1 this is no parquet PAR1");
    assert_fails(&eval(&[]), 2, "validation-00000-of-00001.parquet: ");
}

#[test]
fn a_label_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/cais/mmlu/anatomy");
    std::fs::create_dir_all(&path).unwrap();
    let row = |answer: i64| {
        format!(
            "{{\"question\": \"q\", \"subject\": \"anatomy\", \"choices\": [\"a\", \"b\", \"c\", \"d\"], \"answer\": {answer}}}\n"
        )
    };
    std::fs::write(path.join("dev-00000-of-00001.jsonl"), row(0).repeat(5)).unwrap();
    std::fs::write(path.join("test-00000-of-00001.jsonl"), row(4)).unwrap();
    let arguments = [
        "eval",
        "--samples",
        "--tasks",
        "hendrycksTest-anatomy",
        "--datasets",
        "data",
        "--allow-dataset-change",
    ];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert_fails(
        &output,
        2,
        "task `hendrycksTest-anatomy`, row 0 of `test`: label 4 is out of range, the document has 4 choices",
    );
}

#[test]
fn models() {
    let folder = tempfile::tempdir().unwrap();
    copy_of_the_sample_model(folder.path());
    let model = folder.path().join("model");
    let eval = || {
        let arguments = ["eval", "--samples", "--tasks", "winogrande", "--limit", "1", "--model", "model"];
        assay(folder.path()).args(arguments).output().unwrap()
    };
    assert!(eval().status.success(), "{}", stderr(&eval()));

    let weights = std::fs::read(model.join("model.safetensors")).unwrap();
    std::fs::write(model.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    assert_fails(&eval(), 3, "model.safetensors");
    let mut huge = weights.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(model.join("model.safetensors"), &huge).unwrap();
    assert_fails(&eval(), 3, "model.safetensors");
    // Every weight of the last tensor has an exponent of all ones.
    let mut poisoned = weights.clone();
    let from = poisoned.len() - 4096;
    poisoned[from..].fill(0xff);
    std::fs::write(model.join("model.safetensors"), &poisoned).unwrap();
    assert_fails(&eval(), 3, "not finite");
    std::fs::write(model.join("model.safetensors"), &weights).unwrap();

    std::fs::rename(model.join("tokenizer.json"), model.join("elsewhere.json")).unwrap();
    assert_fails(&eval(), 2, "model: no tokenizer.json");
    std::fs::write(model.join("tokenizer.json"), "{}").unwrap();
    assert_fails(&eval(), 2, "tokenizer.json: no tokenizer");
    std::fs::rename(model.join("elsewhere.json"), model.join("tokenizer.json")).unwrap();

    let config = std::fs::read_to_string(model.join("config.json")).unwrap();
    std::fs::write(model.join("config.json"), config.replace("MistralForCausalLM", "GPT2LMHeadModel"))
        .unwrap();
    assert_fails(&eval(), 2, "GPT2LMHeadModel");
    std::fs::write(model.join("config.json"), config.replace("1024", "1000")).unwrap();
    assert_fails(&eval(), 3, "1000");
    std::fs::write(model.join("model.gguf"), b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f").unwrap();
    let gguf = assay(folder.path())
        .args(["eval", "--samples", "--tasks", "winogrande", "--model", "model/model.gguf"])
        .output();
    assert_fails(&gguf.unwrap(), 3, "model.gguf");
}

#[test]
fn too_little_memory_for_keys_and_values_says_how_much_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let eval = |memory: &str| {
        assay(folder.path())
            .args(["eval", "--tasks", "gsm8k", "--limit", "2", "--kv-memory", memory, "--output", "out"])
            .output()
            .unwrap()
    };
    let output = eval("100KiB");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("error: task `gsm8k`, document ") && said.contains(" tokens are kept at once"),
        "{said}"
    );
    let (_, hint) = said.split_once("hint: give at least ").unwrap();
    let (enough, _) = hint.split_once(" with --kv-memory").unwrap();
    let output = eval(enough);
    assert!(output.status.success(), "{enough}: {}", stderr(&output));
}

#[test]
fn samples_and_real_data_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    copy_of_the_sample_model(folder.path());
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let model = ["eval", "--tasks", "winogrande", "--limit", "1", "--model", "model"];
    let output = assay(folder.path()).args(model).output().unwrap();
    assert_fails(&output, 2, "no --datasets: the rows of task `winogrande` would be built-in samples");
    let output = assay(folder.path()).args(["eval", "--tasks", "winogrande", "--datasets", "data"]).output();
    assert_fails(&output.unwrap(), 2, "no --model: the built-in sample model would score real rows");
    let output = assay(folder.path()).args(model).arg("--samples").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("the numbers are not scores"), "{}", stderr(&output));
}

#[test]
fn a_folder_without_datasets_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let output = assay(folder.path()).args(["datasets", "--datasets", "."]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("none of the datasets is in .\nhint: datasets lie as on the hub: ./"), "{text}");
}

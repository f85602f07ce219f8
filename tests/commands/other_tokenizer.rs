//! A tokenizer that is not the model's, through whole commands.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::{assay, repository, stderr};

/// The sample model's files, to be changed.
fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("model")).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        fs::copy(repository("sample_model").join(name), folder.path().join("model").join(name)).unwrap();
    }
    folder
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = read(path);
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

fn eval(folder: &Path, more: &[&str]) -> Output {
    let mut command = assay(folder);
    command.args(["eval", "--samples", "--model", "model", "--tasks", "winogrande", "--limit", "1"]);
    let output = command.args(["--num-fewshot", "0", "--output", "out"]).args(more).output().unwrap();
    if !more.contains(&"--allow-other-tokenizer") {
        let _ = fs::remove_dir_all(folder.join("out"));
    }
    output
}

/// Removes the last pieces of a vocabulary.
fn shorten(tokenizer: &mut Value, count: usize) {
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    let least = vocabulary.len() - count;
    vocabulary.retain(|_, id| (id.as_u64().unwrap() as usize) < least);
    let known: Vec<String> = vocabulary.keys().cloned().collect();
    let known = |piece: &str| known.iter().any(|one| one == piece);
    let merges = tokenizer["model"]["merges"].as_array_mut().unwrap();
    merges.retain(|merge| {
        let pair: Vec<&str> = match merge {
            Value::String(pair) => pair.split(' ').collect(),
            pair => pair.as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect(),
        };
        known(&pair.concat()) && pair.iter().all(|piece| known(piece))
    });
}

#[track_caller]
fn refused(output: &Output, what: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(what) && said.contains("--allow-other-tokenizer"), "{said}");
}

#[test]
fn a_tokenizer_of_another_size_is_refused() {
    let folder = model();
    let file = folder.path().join("model/tokenizer.json");
    change(&file, |json| shorten(json, 20));
    // 1004 tokens: padded to 1024 rows.
    let output = eval(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    change(&file, |json| shorten(json, 180));
    refused(&eval(folder.path(), &[]), "the tokenizer has 824 tokens, and the model's embedding 1024 rows");
    let output = eval(folder.path(), &["--allow-other-tokenizer"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("warning: model/tokenizer.json: the tokenizer has 824 tokens"),
        "{}",
        stderr(&output)
    );
    let record = read(&folder.path().join("out/run.json"));
    let recorded = record["tokenizer"]["allowed_though"][0].as_str().unwrap();
    assert!(recorded.ends_with("has 824 tokens, and the model's embedding 1024 rows"), "{recorded}");
    let results = read(&folder.path().join("out/results.json"));
    let reasons = results["suite"]["unranked_because"].to_string();
    assert!(reasons.contains("a tokenizer that may not be the model's"), "{reasons}");
}

#[test]
fn a_larger_vocabulary_is_refused_and_tokens_added_to_one_are_not() {
    let folder = model();
    let file = folder.path().join("model/tokenizer.json");
    let whole = fs::read(&file).unwrap();
    change(&file, |json| json["model"]["vocab"]["qqqq"] = 1024.into());
    refused(&eval(folder.path(), &[]), "the tokenizer has 1025 tokens, and the model's embedding 1024 rows");
    fs::write(&file, whole).unwrap();
    change(&folder.path().join("model/tokenizer_config.json"), |json| json["pad_token"] = "[PAD]".into());
    let output = eval(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("the tokenizer has 1025 tokens"), "{}", stderr(&output));
}

#[test]
fn a_tokenizer_from_elsewhere_is_refused_and_a_copy_is_not() {
    let folder = model();
    let copy = folder.path().join("copy.json");
    let own = read(&folder.path().join("model/tokenizer.json"));
    // The same, in other bytes and without its other files.
    fs::write(&copy, serde_json::to_string_pretty(&own).unwrap()).unwrap();
    let output = eval(folder.path(), &["--tokenizer", "copy.json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::write(folder.path().join("tokenizer_config.json"), r#"{"eos_token": "<s>"}"#).unwrap();
    refused(
        &eval(folder.path(), &["--tokenizer", "copy.json"]),
        "copy.json is another tokenizer than the one in model",
    );
    fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    change(&copy, |json| {
        let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
        let (last, before) = (vocabulary.len() as u64 - 1, vocabulary.len() as u64 - 2);
        for id in vocabulary.values_mut() {
            match id.as_u64().unwrap() {
                one if one == last => *id = before.into(),
                one if one == before => *id = last.into(),
                _ => {}
            }
        }
    });
    refused(
        &eval(folder.path(), &["--tokenizer", "copy.json"]),
        "copy.json is another tokenizer than the one in model",
    );
    let output = eval(folder.path(), &["--tokenizer", "copy.json", "--allow-other-tokenizer"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(read(&folder.path().join("out/run.json"))["tokenizer"]["path"], "copy.json");
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    // A model without one of its own takes what is given.
    fs::rename(folder.path().join("model/tokenizer.json"), folder.path().join("moved.json")).unwrap();
    let output = eval(folder.path(), &["--tokenizer", "moved.json"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn special_tokens_must_be_those_of_the_configuration() {
    let folder = model();
    let (config, names) =
        (folder.path().join("model/config.json"), folder.path().join("model/tokenizer_config.json"));
    let whole = fs::read(&config).unwrap();
    change(&config, |json| json["bos_token_id"] = 5.into());
    refused(
        &eval(folder.path(), &[]),
        "texts begin with token 1 by the tokenizer, and with 5 by the model's configuration",
    );
    // Where only one of both says, there is nothing to disagree.
    change(&config, |json| json["bos_token_id"] = Value::Null);
    assert!(eval(folder.path(), &[]).status.success());
    change(&config, |json| json["eos_token_id"] = json!([5, 6]));
    refused(&eval(folder.path(), &[]), "texts end with token 2 by the tokenizer, and with 5 or 6 by");
    // Fine-tuned models keep the special tokens of their base model there.
    change(&config, |json| json["eos_token_id"] = 1.into());
    let output = eval(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let warning = "texts end with token 2 by the tokenizer, and with 1 by the model's configuration";
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    // Chat models list more tokens in the other file.
    change(&config, |json| json["eos_token_id"] = json!([5, 6]));
    fs::write(folder.path().join("model/generation_config.json"), r#"{"eos_token_id": [2]}"#).unwrap();
    assert!(eval(folder.path(), &[]).status.success());
    fs::write(&config, whole).unwrap();
    let token = json!({"content": "<|im_end|>", "special": true});
    change(&names, |json| json["added_tokens_decoder"] = json!({"1030": token}));
    refused(&eval(folder.path(), &[]), "give the token \"<|im_end|>\" the id 1030, and here it has 1024");
}

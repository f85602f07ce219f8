//! What is given as a model and is only a part of one, or none: what it is, and what to give instead.

use std::path::Path;

use super::{assay, repository, stderr};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// Evaluates the model at `path` in `folder`; it must be refused with this message and hint.
fn refused(folder: &Path, path: &str, message: &str, hint: &str) {
    let arguments = ["eval", "--tasks", "gsm8k", "--datasets", ".", "--model", path];
    let output = assay(folder).args(arguments).output().unwrap();
    let text = stderr(&output);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!((errors.len(), output.status.code()), (1, Some(2)), "{path}: {text}");
    assert!(errors[0].contains(path) && errors[0].contains(message), "{path}: {text}");
    assert!(text.lines().any(|line| line.starts_with("hint: ") && line.contains(hint)), "{path}: {text}");
    assert!(!text.contains("fetch it again"), "{text}");
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn copy_of_the_sample(folder: &Path) {
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        let bytes = std::fs::read(repository("sample_model").join(name)).unwrap();
        write(folder, &format!("m/{name}"), bytes);
    }
}

#[test]
fn files_of_a_model_lead_to_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    copy_of_the_sample(here);
    write(here, "m/model.safetensors.index.json", "{}");
    write(here, "m/model-00001-of-00002.safetensors", "");
    refused(here, "m/model.safetensors", "a file of weights", "give its folder: m");
    refused(here, "m/model-00001-of-00002.safetensors", "a file of weights", "give its folder: m");
    for name in ["config.json", "tokenizer.json", "model.safetensors.index.json"] {
        refused(here, &format!("m/{name}"), "a file that belongs to a model", "give its folder: m");
    }
    write(here, "m/pytorch_model.bin", b"PK\x03\x04");
    write(here, "m/model.pt", b"\x80\x02}");
    write(here, "m/consolidated", b"\x80\x02}");
    for name in ["pytorch_model.bin", "model.pt", "consolidated"] {
        refused(here, &format!("m/{name}"), "pickled weights", "save_pretrained");
    }
    write(here, "m/notes", "some text");
    refused(here, "m/notes", "neither a folder nor a GGUF file", "give a folder");
}

#[test]
fn recipes_pages_and_adapters_are_no_models() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, "merge/recipe.yml", "merge_method: slerp\n");
    write(here, "merge/page.gguf", "\n<!DOCTYPE html><html></html>");
    refused(here, "merge/recipe.yml", "a recipe or another settings file", "give the folder that it writes");
    refused(here, "merge/page.gguf", "a web page", "download the file again");
    let adapter = "{\"base_model_name_or_path\": \"mistralai/Mistral-7B-v0.1\"}";
    write(here, "lora/adapter_config.json", adapter);
    write(here, "lora/adapter_model.safetensors", "");
    for path in ["lora", "lora/adapter_config.json", "lora/adapter_model.safetensors"] {
        refused(here, path, "adapter to mistralai/Mistral-7B-v0.1, not a model", "merge_and_unload");
    }
    std::fs::remove_file(here.join("merge/page.gguf")).unwrap();
    refused(here, "merge", "no config.json in this folder", "recipe.yml may be a recipe");
    write(here, "files/a.gguf", "GGUF");
    refused(here, "files", "no config.json in this folder", "give the .gguf file itself: files/a.gguf");
}

#[test]
fn two_models_in_one_folder_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    copy_of_the_sample(here);
    // An index without its shards is what an earlier way of saving left: one model is there.
    let index = r#"{"weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}}"#;
    write(here, "m/model.safetensors.index.json", index);
    let plan = || {
        assay(here).args(["plan", "--tasks", "gsm8k", "--limit", "1", "--samples", "--model", "m"]).output()
    };
    assert!(plan().unwrap().status.success(), "{}", stderr(&plan().unwrap()));
    write(here, "m/model-00001-of-00001.safetensors", "");
    refused(
        here,
        "m",
        "two models: model.safetensors, and an index with model-00001",
        "the one that is not meant",
    );
    std::fs::remove_file(here.join("m/model.safetensors.index.json")).unwrap();
    write(here, "m/adapter_config.json", "{}");
    refused(here, "m", "an adapter lies beside the model's weights", "merge the adapter into its base");
    write(here, "g/config.json", "{}");
    write(here, "g/x.gguf", "GGUF");
    refused(here, "g", "no safetensors in this folder", "give the .gguf file itself: g/x.gguf");
}

#[test]
fn pointers_of_git_lfs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, "a.gguf", POINTER);
    refused(here, "a.gguf", "a pointer of git-lfs", "git lfs pull");
    let task = "task: rows\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n\
        output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: [x, y]\ndoc_to_target: a\n";
    write(here, "tasks/rows.yaml", task);
    write(here, "tasks/rows.jsonl", "{\"q\": \"a\", \"a\": 0}\n");
    let named = |name: &str| {
        let arguments = ["eval", "--tasks", "rows", "--include", "tasks", "--model", "m"];
        let output = assay(here).args(arguments).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(&format!("{name}: a pointer of git-lfs")), "{name}: {text}");
        assert!(text.contains("hint: the folder was cloned without git-lfs"), "{name}: {text}");
    };
    for name in ["config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"] {
        copy_of_the_sample(here);
        if name.ends_with("index.json") {
            std::fs::remove_file(here.join("m/model.safetensors")).unwrap();
        }
        write(here, &format!("m/{name}"), POINTER);
        named(&format!("m/{name}"));
    }
    // Data that was cloned without git-lfs.
    std::fs::remove_file(here.join("m/model.safetensors.index.json")).unwrap();
    copy_of_the_sample(here);
    write(here, "tasks/rows.jsonl", POINTER);
    named("rows.jsonl");
}

//! Task names as people type them, and the page of a task.

use super::{repository, run, stderr, stdout};

#[test]
fn names_are_understood_in_any_case() {
    let tokenizer = repository("sample_model/tokenizer.json");
    let requests = |tasks: &str, limit: &str| {
        let tokenizer = tokenizer.to_str().unwrap();
        let output = run(&["requests", "--tasks", tasks, "--limit", limit, "--tokenizer", tokenizer]);
        assert!(output.status.success(), "{tasks}: {}", stderr(&output));
        stdout(&output)
    };
    let expected = requests("gsm8k", "gsm8k=2");
    assert_eq!(expected.lines().count(), 2);
    assert_eq!(requests("GSM8K", "Gsm8K=2"), expected);
    // A tag, a suite's alias, and a pattern.
    assert_eq!(requests("MMLU", "1"), requests("mmlu", "1"));
    assert_eq!(requests("ALL", "MMLU=1,2"), requests("all", "mmlu=1,2"));
    assert_eq!(requests("GSM*", "2"), expected);
    assert_eq!(stdout(&run(&["tasks", "GSM8K"])), stdout(&run(&["tasks", "gsm8k"])));
}

#[test]
fn nearly_right_names_lead_to_the_nearest() {
    for arguments in [
        vec!["tasks", "hellaswg"],
        vec!["requests", "--tasks", "HellaSwg", "--tokenizer", "none"],
        vec!["eval", "--tasks", "hellaswg"],
        vec!["eval", "--tasks", "hellaswag", "--limit", "hellaswg=2"],
    ] {
        let output = run(&arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains("hint: did you mean `hellaswag`"), "{arguments:?}: {text}");
    }
}

#[test]
fn a_folder_without_task_files_and_a_group_without_its_task_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let said = |include: &str| {
        let output = super::assay(folder.path()).args(["tasks", "g", "--include", include]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    std::fs::write(folder.path().join("gsm8k.YAML"), "").unwrap();
    assert!(
        said(".").starts_with("error: .: no task files in this folder: none ends in .yaml or .yml\nhint: ")
    );
    assert!(
        said("gsm8k.YAML").starts_with("error: gsm8k.YAML: a file, expected a folder of task files\nhint: ")
    );
    std::fs::write(folder.path().join("g.yaml"), "group: g\ntask: [cap_c]\n").unwrap();
    assert!(
        said(".").starts_with(
            "error: ./g.yaml:1:1: group `g` lists `cap_c`, and there is no such task, tag or group\nhint: "
        ),
        "{}",
        said(".")
    );
}

#[test]
fn the_page_of_a_task_is_plain_text() {
    let page = stdout(&run(&["tasks", "gsm8k"]));
    for line in [
        "task      gsm8k\n",
        "dataset   openai/gsm8k, configuration main\n",
        "scored    split `test`, ",
        "shots of  split `train`, ",
        "asks for  a text\n",
        "shots     5, unless --num-fewshot says otherwise\n",
        "metrics   acc\n",
        "stops     \":\", ",
        "length    at most ",
        "begins    without a beginning-of-text token\n",
        "--- here the model writes ---\n--- right: \"",
    ] {
        assert!(page.contains(line), "{line:?} is missing:\n{page}");
    }
    let choices = stdout(&run(&["tasks", "winogrande"]));
    assert!(
        choices.contains("asks for  the loglikelihood of each choice")
            && choices.contains("--- right: choice ")
    );
    // No structures of the program.
    for page in [page, choices] {
        for odd in ["Stops", "Some(", "None", "{ ", "Declared", "beyond:"] {
            assert!(!page.contains(odd), "{odd}: {page}");
        }
    }
}

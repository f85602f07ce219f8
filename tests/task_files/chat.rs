//! Prompts by chat templates: `tests/fixtures/chat/make_expected.py` has the right ones from lm-evaluation-harness and transformers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay::dataset::DatasetStore;
use assay::prompt::{self, ChatOptions, PromptOptions};
use assay::task::{ChatTemplate, TaskIndex};
use assay::vocabulary::{Request, TaskLimits};
use serde_json::{Value, json};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat").join(path)
}

fn template(name: &str) -> Arc<ChatTemplate> {
    let source = std::fs::read_to_string(fixture(&format!("templates/{name}.jinja"))).unwrap();
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")];
    let variables: BTreeMap<_, _> = tokens.map(|(name, token)| (name.to_string(), token.to_string())).into();
    Arc::new(ChatTemplate::new(&source, name, variables, 0).unwrap())
}

/// Contexts, each with its continuations.
fn requests(requests: &[Request]) -> Vec<Value> {
    let mut all: Vec<Vec<Value>> = Vec::new();
    for request in requests {
        if all.last().is_none_or(|last| last[0] != request.context()) {
            all.push(vec![json!(request.context())]);
        }
        if let (Request::Loglikelihood { continuation, .. }, Some(last)) = (request, all.last_mut()) {
            last.push(json!(continuation));
        }
    }
    all.into_iter().map(Value::from).collect()
}

#[test]
fn prompts_by_chat_templates_are_the_harness_s() {
    let index = TaskIndex::load(&[fixture("tasks")]).unwrap();
    let store = DatasetStore::new(Some(fixture(""))).unwrap();
    let expected = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let (mut cases, mut refused) = (0, 0);
    for case in expected["cases"].as_array().unwrap() {
        let mut task = index.select(&[case["task"].as_str().unwrap().to_string()]).unwrap().tasks.remove(0);
        // Paths in task files are those of the working folder.
        for (_, files) in &mut task.dataset.data_files {
            files.iter_mut().for_each(|file| *file = fixture("").join(&*file));
        }
        let shots = case["shots"].as_u64().unwrap() as usize;
        let chat = ChatOptions {
            template: case["template"].as_str().map(template),
            multiturn: case["multiturn"] == true,
            system: case["system"].as_str().map(str::to_string),
        };
        let options = PromptOptions {
            limits: TaskLimits::from(Some(2)),
            num_fewshot: Some(shots),
            chat,
            ..PromptOptions::default()
        };
        let built = prompt::build(&task, &store, &options).unwrap_or_else(|error| panic!("{case}: {error}"));
        let found: Vec<Value> = built.documents.iter().flat_map(|d| requests(&d.requests)).collect();
        for (found, expected) in found.iter().zip(case["requests"].as_array().unwrap()) {
            assert_eq!(
                found,
                expected,
                "{}",
                json!([case["template"], case["task"], case["multiturn"], case["system"], shots])
            );
        }
        assert_eq!(found.len(), case["requests"].as_array().unwrap().len(), "{case}");
        cases += 1;
        refused += usize::from(built.without_system > 0);
    }
    assert!(cases > 250 && refused > 10, "{cases} cases, {refused} without the system's turn");
}

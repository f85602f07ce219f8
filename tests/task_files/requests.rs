//! Requests, right answers, and metrics for made-up responses.

use assay::dataset::DatasetStore;
use assay::metric::Scorer;
use assay::prompt::{self, PromptOptions};
use assay::task::{Task, TaskIndex};
use assay::vocabulary::{DocumentRequests, Gold, Measured, Request, Response};
use serde_json::{Value, json};

use super::{fixture, read_json};

/// The responses that `make_expected.py` scored with the harness.
const TEXTS: [&str; 10] = [
    "The answer is 4.",
    "so $1,000 and 5",
    " IV ",
    "#### 6",
    "four",
    "answer is FOUR!",
    "5",
    "nothing",
    "7 ",
    "a,",
];

fn index() -> TaskIndex {
    TaskIndex::load(&[fixture("tasks")]).unwrap()
}

fn build(task: &Task) -> Vec<DocumentRequests> {
    let store = DatasetStore::new(Some(fixture("datasets"))).unwrap();
    prompt::build(task, &store, &PromptOptions::default())
        .unwrap_or_else(|e| panic!("{}: {e}", task.name))
        .documents
}

fn requests(document: &DocumentRequests) -> Value {
    let request = |request: &Request| match request {
        Request::Loglikelihood { context, continuation } => json!([**context, continuation]),
        Request::GenerateUntil { context, until, max_new_tokens } => {
            json!([**context, until.to_vec(), max_new_tokens])
        }
    };
    document.requests.iter().map(request).collect()
}

fn gold(gold: &Gold) -> Value {
    match gold {
        Gold::Index(index) => json!(index),
        Gold::NoChoice(label) => json!(label),
        Gold::Labels(labels) => json!(labels),
        Gold::Answer(answer) => json!(answer),
        Gold::Answers(answers) => json!(answers),
    }
}

/// One list of responses per round: all choices once, or each of the texts in turn.
fn rounds(document: &DocumentRequests) -> Vec<Vec<Response>> {
    let doc_id = document.doc_id;
    match document.requests[0] {
        Request::Loglikelihood { .. } => {
            let response = |i: usize| Response::Loglikelihood {
                loglikelihood: -1.0 - ((doc_id * 7 + i * 5) % 11) as f64 - i as f64 / 8.0,
                is_greedy: (doc_id + i).is_multiple_of(3),
                num_tokens: 1,
                rounding: 0.0,
                greedy_near_tie: false,
            };
            vec![(0..document.requests.len()).map(response).collect()]
        }
        Request::GenerateUntil { .. } => (0..TEXTS.len())
            .map(|shift| {
                let text = TEXTS[(doc_id + shift) % TEXTS.len()].to_string();
                vec![Response::Generation { text, num_tokens: 1, near_ties: 0, beyond: None }]
            })
            .collect(),
    }
}

/// The metrics of each round, filter by filter, as the harness gives them.
fn scores(task: &Task, document: &DocumentRequests) -> Value {
    let scorer = Scorer::for_task(task).unwrap();
    let mut all = Vec::new();
    for responses in rounds(document) {
        let values = scorer.score(document, &responses).unwrap();
        let metrics = values.len() / task.filters.len().max(1);
        for chain in values.chunks(metrics) {
            let value =
                |m: &Measured| (m.name.split(',').next().unwrap_or_default().to_string(), json!(m.value));
            all.push(Value::Object(chain.iter().map(value).collect()));
        }
    }
    Value::Array(all)
}

fn compare(task: &Task, expected: &[Value], faults: &mut Vec<String>) {
    let documents = build(task);
    for (document, expected) in documents.iter().zip(expected) {
        let found = json!({
            "gold": gold(&document.gold),
            "requests": requests(document),
            "scores": scores(task, document),
        });
        for part in ["gold", "requests", "scores"] {
            if found[part] != expected[part] {
                faults.push(format!(
                    "{} document {}: {part}\n  expected {}\n  found    {}",
                    task.name, document.doc_id, expected[part], found[part]
                ));
                break;
            }
        }
    }
}

#[test]
fn every_task_file_is_read_as_the_harness_reads_it() {
    let expected = read_json("expected.json");
    let index = index();
    let mut faults = Vec::new();
    let tasks = expected["tasks"].as_object().unwrap();
    for (name, documents) in tasks {
        let documents = documents.as_array().unwrap();
        let selection = index.select(std::slice::from_ref(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(build(&selection.tasks[0]).len(), documents.len(), "{name}: documents");
        compare(&selection.tasks[0], documents, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(tasks.len() >= 50, "the fixture is whole");
}

#[test]
fn groups_change_their_members_and_tags_name_theirs() {
    let expected = read_json("expected.json");
    let index = index();
    let mut faults = Vec::new();
    for (group, members) in expected["groups"].as_object().unwrap() {
        let selection = index.select(std::slice::from_ref(group)).unwrap();
        let names: Vec<&str> = selection.tasks.iter().map(|task| &*task.name).collect();
        assert_eq!(names, members.as_object().unwrap().keys().collect::<Vec<_>>());
        for task in &selection.tasks {
            compare(task, members[&*task.name].as_array().unwrap(), &mut faults);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (tag, members) in expected["tags"].as_object().unwrap() {
        let mut names = index.members(tag, 0).unwrap();
        names.sort();
        assert_eq!(json!(names), *members);
    }
}

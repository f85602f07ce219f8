//! Prompts and tokens of all six benchmarks, byte for byte.

use std::collections::HashMap;

use assay::dataset::DatasetStore;
use assay::prompt::{self, PromptOptions};
use assay::task::TaskIndex;
use assay::tokenizer::{Marks, TokenRequest, Tokenizer, encode_requests};
use assay::vocabulary::{DocumentRequests, Request};
use sha2::{Digest, Sha256};

use super::gunzip;
use crate::material::shared;

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn prompt_hash(document: &DocumentRequests) -> String {
    let mut hasher = Sha256::new();
    for request in &document.requests {
        let rest = match request {
            Request::Loglikelihood { continuation, .. } => continuation.clone(),
            Request::GenerateUntil { until, .. } => until.join("\x1d"),
        };
        hasher.update(format!("{}\x1f{rest}\x1e", request.context()));
    }
    hex(hasher.finalize())
}

fn token_hash(requests: &[TokenRequest]) -> String {
    let ids = |tokens: &[u32]| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let mut hasher = Sha256::new();
    for request in requests {
        hasher.update(format!("{}|{}\n", ids(request.context()), ids(request.continuation())));
    }
    hex(hasher.finalize())
}

#[test]
fn every_golden_prompt_and_token_is_reproduced() {
    let (Some(golden), Some(datasets), Some(tokenizer)) = (
        shared("golden/requests.tsv.gz"),
        shared("datasets"),
        shared("tokenizers/mistral-7b-v0.1/tokenizer.json"),
    ) else {
        return;
    };
    let table = gunzip(&golden);
    let mut expected: HashMap<&str, Vec<Vec<&str>>> = HashMap::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        expected.entry(fields[0]).or_default().push(fields);
    }
    let store = DatasetStore::new(Some(datasets)).unwrap();
    let tokenizer = Tokenizer::from_file(&tokenizer).unwrap();
    let selection = TaskIndex::load(&[]).unwrap().select(&["all".to_string()]).unwrap();
    assert_eq!(selection.tasks.len(), 62);
    let mut checked = 0;
    for task in &selection.tasks {
        let built = prompt::build(task, &store, &PromptOptions::default()).unwrap();
        let rows = &expected[&*task.name];
        // The goldens hold every second document; there is nothing to compare the others with.
        let documents: Vec<DocumentRequests> =
            rows.iter().map(|row| built.documents[row[1].parse::<usize>().unwrap()].clone()).collect();
        let marks = Marks::new(&tokenizer, task.text_begin).unwrap();
        let tokens = encode_requests(&tokenizer, &marks, &documents).unwrap();
        for ((row, document), tokens) in rows.iter().zip(&documents).zip(&tokens) {
            let which = format!("{} document {}", row[0], row[1]);
            assert_eq!(document.row.to_string(), row[2], "{which}: row");
            assert_eq!(document.requests.len().to_string(), row[3], "{which}: requests");
            assert_eq!(prompt_hash(document), row[4], "{which}: prompt");
            assert_eq!(token_hash(tokens), row[5], "{which}: tokens");
            checked += 1;
        }
    }
    assert_eq!(checked, table.lines().count() - 1);
}

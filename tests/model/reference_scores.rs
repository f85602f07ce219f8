//! Log-probabilities and text of a real model, compared with those of the reference harness.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use assay::model::{DtypeChoice, Model, Row, SegmentId};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::fixtures::{all_logits, load, log_softmax, logits, real_model, segment, shared};

/// The lines of a compressed JSON lines file for which `keep` is true.
fn lines(path: &Path, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|line| keep(line)).collect()
}

fn is_one_of(line: &Value, documents: &[(&str, u64)]) -> bool {
    documents.iter().any(|&(task, doc)| line["task"] == task && line["doc_id"] == doc)
}

struct Setup {
    model: Model,
    tokenizer: Tokenizer,
    documents: Vec<Value>,
    expected: Vec<Value>,
}

/// These documents' requests and reference answers.
fn setup(documents: &[(&str, u64)]) -> Option<Setup> {
    let folder = real_model("smollm2-135m-f32")?;
    let requests = shared("golden/full/requests.jsonl.gz")?;
    let answers = shared("golden/loglikelihoods.jsonl.gz")?;
    Some(Setup {
        model: load(&folder, DtypeChoice::Auto).unwrap(),
        tokenizer: Tokenizer::from_file(folder.join("tokenizer.json")).unwrap(),
        documents: lines(&requests, |line| is_one_of(line, documents)),
        expected: lines(&answers, |line| is_one_of(line, documents)),
    })
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, false).unwrap().get_ids().to_vec()
}

#[test]
fn log_probabilities_are_those_of_the_harness() {
    let chosen = [("truthfulqa_mc", 0), ("winogrande", 0), ("winogrande", 2), ("arc_challenge", 0)];
    let Some(Setup { model, tokenizer, documents, expected }) = setup(&chosen) else { return };
    assert_eq!(documents.len(), chosen.len());
    let mut compared = 0;
    for document in documents {
        // Each context is computed once, with all its continuations.
        let mut contexts: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
        for (i, request) in document["requests"].as_array().unwrap().iter().enumerate() {
            let text = |key: &str| request[key].as_str().unwrap();
            contexts.entry(text("context")).or_default().push((i, text("continuation")));
        }
        for (context, continuations) in contexts {
            assert_eq!(context, context.trim_end());
            let root = ids(&tokenizer, context);
            let continued: Vec<Vec<u32>> = continuations
                .iter()
                .map(|(_, text)| ids(&tokenizer, &format!("{context}{text}")).split_off(root.len()))
                .collect();
            let mut kv = model.kv_cache();
            let last = all_logits(&model, &[segment(0, &[], &root)], &mut kv).pop().unwrap();
            let segments: Vec<_> = continued
                .iter()
                .enumerate()
                .filter(|(_, ids)| ids.len() > 1)
                .map(|(i, ids)| segment(i + 1, &[0], &ids[..ids.len() - 1]))
                .collect();
            let mut rows = all_logits(&model, &segments, &mut kv).into_iter();
            for ((i, text), ids) in continuations.iter().zip(&continued) {
                let first = log_softmax(&last, ids[0]);
                let found: f64 =
                    first + ids[1..].iter().map(|&id| log_softmax(&rows.next().unwrap(), id)).sum::<f64>();
                let line = expected.iter().find(|line| {
                    line["task"] == document["task"]
                        && line["doc_id"] == document["doc_id"]
                        && line["i"] == *i
                });
                let expected = line.unwrap()["ll"].as_f64().unwrap();
                assert!((found - expected).abs() < 2e-3, "{text:?}: {found}, expected {expected}");
                compared += 1;
            }
        }
    }
    assert!(compared > 12, "{compared} compared");
}

#[test]
fn greedy_text_is_that_of_the_harness() {
    let Some(Setup { model, tokenizer, documents, expected }) = setup(&[("gsm8k", 0)]) else { return };
    let context = documents[0]["requests"][0]["context"].as_str().unwrap();
    let expected = expected[0]["text"].as_str().unwrap();
    let mut kv = model.kv_cache();
    let mut next = ids(&tokenizer, context);
    let mut written = Vec::new();
    while written.len() < 24 {
        let row = Row { segment: 0, token: next.len() - 1 };
        let rows = logits(&model, &[segment(0, &[], &next)], &[row], &mut kv);
        let best = (0..rows[0].len()).max_by(|&a, &b| rows[0][a].total_cmp(&rows[0][b])).unwrap();
        next = vec![best as u32];
        written.push(best as u32);
    }
    assert!(kv.length(SegmentId(0)).unwrap() > 24);
    let text = tokenizer.decode(&written, true).unwrap();
    assert!(
        text.starts_with(expected) || expected.starts_with(text.trim_end_matches('\u{fffd}')),
        "{text:?}, expected {expected:?}"
    );
}

//! The reference's own metrics and standard errors, from its own loglikelihoods.

use std::collections::BTreeMap;

use assay::dataset::DatasetStore;
use assay::metric::Scorer;
use assay::prompt::{self, PromptOptions};
use assay::task::TaskIndex;
use assay::vocabulary::{Measured, Response};
use serde_json::Value;

use super::gunzip;
use crate::material::shared;

fn close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-12, "{what}: {found}, expected {expected}");
}

#[test]
fn metrics_and_standard_errors_are_the_references() {
    let (Some(metrics), Some(scores), Some(datasets)) =
        (shared("golden/metrics.json"), shared("golden/loglikelihoods.jsonl.gz"), shared("datasets"))
    else {
        return;
    };
    let metrics: BTreeMap<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(metrics).unwrap()).unwrap();
    let mut responses: BTreeMap<(String, u64), Vec<Response>> = BTreeMap::new();
    for line in gunzip(&scores).lines() {
        let golden: Value = serde_json::from_str(line).unwrap();
        let response = match golden["text"].as_str() {
            Some(text) => {
                Response::Generation { text: text.to_string(), num_tokens: 0, near_ties: 0, beyond: None }
            }
            None => Response::Loglikelihood {
                loglikelihood: golden["ll"].as_f64().unwrap(),
                is_greedy: golden["greedy"].as_bool().unwrap(),
                num_tokens: 0,
                rounding: 0.0,
                greedy_near_tie: false,
            },
        };
        let key = (golden["task"].as_str().unwrap().to_string(), golden["doc_id"].as_u64().unwrap());
        responses.entry(key).or_default().push(response);
    }
    let store = DatasetStore::new(Some(datasets)).unwrap();
    let index = TaskIndex::load(&[]).unwrap();
    let mut compared = 0;
    for (name, expected) in &metrics {
        let task = index.select(std::slice::from_ref(name)).unwrap().tasks.remove(0);
        let doc_ids: Vec<u64> =
            expected["docs"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap()).collect();
        let limit = Some(*doc_ids.iter().max().unwrap() as usize + 1);
        let built =
            prompt::build(&task, &store, &PromptOptions { limits: limit.into(), ..PromptOptions::default() })
                .unwrap();
        let scorer = Scorer::for_task(&task).unwrap();
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); scorer.names().count()];
        for (place, doc_id) in doc_ids.iter().enumerate() {
            let document = &built.documents[*doc_id as usize];
            let values = scorer.score(document, &responses[&(name.clone(), *doc_id)]).unwrap();
            for (Measured { name: metric, value, .. }, column) in values.iter().zip(&mut columns) {
                close(
                    *value,
                    &expected["per_doc"][metric][place],
                    &format!("{name} document {doc_id} {metric}"),
                );
                column.push(*value);
                compared += 1;
            }
        }
        for (place, (metric, values)) in scorer.names().zip(&columns).enumerate() {
            let estimate = scorer.estimate(place, values);
            close(estimate.value, &expected[metric], &format!("{name} {metric}"));
            let stderr = format!("{metric}_stderr");
            close(estimate.stderr.unwrap(), &expected[&stderr], &format!("{name} {stderr}"));
        }
    }
    assert_eq!(metrics.len(), 62);
    assert!(compared > 400);
}

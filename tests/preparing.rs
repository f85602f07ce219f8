//! Tasks are prepared several at once, and planned alone and together: the outcome is that of one after the other.

use std::path::Path;
use std::sync::Arc;

use assay::dataset::DatasetStore;
use assay::evaluate::{Limits, Plan, Prepared, fit_all, plan, plan_each, prepare, prepare_all};
use assay::prompt::PromptOptions;
use assay::task::{DatasetRef, Task, TaskIndex};
use assay::tokenizer::Tokenizer;

const LIMITS: Limits =
    Limits { max_length: 4096, vocab_size: usize::MAX, room: usize::MAX, kv_bytes_per_token: 1 << 10 };

fn tasks() -> Vec<Task> {
    TaskIndex::load(&[]).unwrap().select(&["all".to_string()]).unwrap().tasks
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json")).unwrap()
}

/// The built-in samples, which have rows for a few shots.
fn samples() -> (DatasetStore, PromptOptions) {
    (DatasetStore::new(None).unwrap(), PromptOptions { limits: Some(4).into(), num_fewshot: Some(1) })
}

#[test]
fn tasks_prepared_at_once_are_those_prepared_one_by_one() {
    let (store, options) = samples();
    let tokenizer = tokenizer();
    let mut all = prepare_all(tasks(), &store, &options, &tokenizer, &|| false).unwrap().unwrap();
    fit_all(&mut all, LIMITS).unwrap();
    let alone: Vec<Prepared> =
        tasks().into_iter().map(|task| prepare(task, &store, &options, &tokenizer).unwrap()).collect();
    assert_eq!(all.len(), alone.len());
    for (a, b) in all.iter().zip(&alone) {
        assert_eq!(a.task.name, b.task.name);
        assert_eq!((&a.requests.documents, &a.tokens), (&b.requests.documents, &b.tokens));
    }

    let (each, total) = plan_each(&all, LIMITS.max_length, usize::MAX).unwrap();
    assert_eq!(total, plan(&all, LIMITS.max_length, usize::MAX).unwrap());
    let one = |task| plan(std::slice::from_ref(task), LIMITS.max_length, usize::MAX).unwrap();
    assert_eq!(each, all.iter().map(one).collect::<Vec<Plan>>());
    assert_eq!(each.iter().map(|plan| plan.requests).sum::<usize>(), total.requests);
    assert!(each.iter().map(|plan| plan.tokens_planned).sum::<usize>() > total.tokens_planned);
}

#[test]
fn preparing_stops_when_asked_and_names_the_first_fault() {
    let (store, options) = samples();
    let tokenizer = tokenizer();
    assert!(prepare_all(tasks(), &store, &options, &tokenizer, &|| true).unwrap().is_none());
    let few = Limits { vocab_size: 3, ..LIMITS };
    let first = tasks()[0].name.to_string();
    for _ in 0..3 {
        let mut all = prepare_all(tasks(), &store, &options, &tokenizer, &|| false).unwrap().unwrap();
        let fault = fit_all(&mut all, few).unwrap_err().to_string();
        assert!(fault.starts_with(&format!("task `{first}`")), "{fault}");
    }
}

#[test]
fn a_split_is_read_once_however_many_ask_at_once() {
    let (store, _) = samples();
    let task = tasks().remove(0);
    let dataset: &DatasetRef = &task.dataset;
    let split = task.evaluation_split().unwrap();
    let rows = std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| store.split(dataset, split).unwrap().rows)).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(rows.iter().all(|read| Arc::ptr_eq(read, &rows[0])));
}

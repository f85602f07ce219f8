//! Preparing several tasks at once, and planning them alone and together, gives the outcome of doing so one
//! after the other.

use std::path::Path;
use std::sync::Arc;

use assay::dataset::DatasetStore;
use assay::engine::RequestLimits;
use assay::evaluate::{
    AnsweredTask, BuiltTask, FittedTask, Plan, RunCosts, RunPlan, build_all, fit_all, run_costs,
};
use assay::prompt::PromptOptions;
use assay::task::{DatasetRef, Task, TaskIndex};
use assay::tokenizer::Tokenizer;

const LIMITS: RequestLimits = RequestLimits {
    max_length: 4096,
    vocab_size: usize::MAX,
    kv_budget: usize::MAX,
    kv_bytes_per_token: 1 << 10,
};

fn tasks() -> Vec<Task> {
    TaskIndex::load(&[]).unwrap().select(&["all".to_string()]).unwrap().tasks
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json")).unwrap()
}

/// The built-in samples, which have rows for a few shots.
fn samples() -> (DatasetStore, PromptOptions) {
    (
        DatasetStore::new(None).unwrap(),
        PromptOptions { limits: Some(4).into(), num_fewshot: Some(1), ..PromptOptions::default() },
    )
}

#[test]
fn tasks_prepared_at_once_are_those_prepared_one_by_one() {
    let (store, options) = samples();
    let tokenizer = tokenizer();
    let all = build_all(tasks(), &store, &options, &tokenizer, &|| false).unwrap();
    let alone: Vec<BuiltTask> = tasks()
        .into_iter()
        .map(|task| BuiltTask::build(task, &store, &options, &tokenizer).unwrap())
        .collect();
    assert_eq!(all.len(), alone.len());
    for (a, b) in all.iter().zip(&alone) {
        assert_eq!(a.task.name, b.task.name);
        assert_eq!((&a.requests.documents, &a.tokens), (&b.requests.documents, &b.tokens));
    }

    let fitted: Vec<FittedTask> = fit_all(all, LIMITS).unwrap();
    let open = || fitted.iter().map(AnsweredTask::new).collect::<Vec<_>>();
    let RunCosts { total, families, tasks: each } = run_costs(&open(), usize::MAX).unwrap();
    assert_eq!(families.iter().map(|(_, plan)| plan.tokens_planned).sum::<usize>(), total.tokens_planned);
    assert_eq!(total, RunPlan::new(&open(), usize::MAX).unwrap().total);
    let one = |task| RunPlan::new(&[AnsweredTask::new(task)], usize::MAX).unwrap().total;
    assert_eq!(each, fitted.iter().map(one).collect::<Vec<Plan>>());
    assert_eq!(each.iter().map(|plan| plan.requests).sum::<usize>(), total.requests);
    assert!(each.iter().map(|plan| plan.tokens_planned).sum::<usize>() > total.tokens_planned);
}

#[test]
fn preparing_stops_when_asked_and_names_the_first_fault() {
    let (store, options) = samples();
    let tokenizer = tokenizer();
    assert!(build_all(tasks(), &store, &options, &tokenizer, &|| true).unwrap().is_empty());
    let few = RequestLimits { vocab_size: 3, ..LIMITS };
    let first = tasks()[0].name.to_string();
    for _ in 0..3 {
        let all = build_all(tasks(), &store, &options, &tokenizer, &|| false).unwrap();
        let fault = fit_all(all, few).err().unwrap().to_string();
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

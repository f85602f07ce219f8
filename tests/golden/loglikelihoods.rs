//! The reference engine's loglikelihoods and texts, with a real model, through the whole pipeline.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use assay::dataset::DatasetStore;
use assay::engine::{LoadedModel, LocalEngine, RequestLimits};
use assay::evaluate::{
    AnsweredTask, BuiltTask, EvalContext, Evaluation, FittedTask, NullLedger, RunPlan, evaluate,
};
use assay::model::{DeviceChoice, DtypeChoice, LoadOptions, Model};
use assay::prompt::PromptOptions;
use assay::task::TaskIndex;
use assay::tokenizer::Tokenizer;
use assay::tokenizer::gguf::gguf_tokenizer;
use assay::vocabulary::{Event, Fingerprint, Outcome, Response};
use serde::Deserialize;

use super::gunzip;
use crate::material::{model, shared};

#[derive(Deserialize)]
struct Golden {
    task: String,
    doc_id: usize,
    i: usize,
    ll: Option<f64>,
    greedy: Option<bool>,
    text: Option<String>,
}

/// Golden requests by task and document.
type Goldens = BTreeMap<String, BTreeMap<usize, Vec<Golden>>>;

fn goldens() -> Option<Goldens> {
    let path = shared("golden/loglikelihoods.jsonl.gz")?;
    let mut goldens = Goldens::new();
    for line in gunzip(&path).lines() {
        let golden: Golden = serde_json::from_str(line).unwrap();
        let documents = goldens.entry(golden.task.clone()).or_default();
        let requests = documents.entry(golden.doc_id).or_default();
        assert_eq!(requests.len(), golden.i, "requests are in order");
        requests.push(golden);
    }
    Some(goldens)
}

/// Every third document of each task. A pass over all of them is minutes of computing; single precision has it, and what other files and
/// number formats add shows in a part. All are taken with `ASSAY_TEST_WHOLE=1`.
fn a_third(mut goldens: Goldens) -> Goldens {
    if std::env::var_os("ASSAY_TEST_WHOLE").is_none() {
        for documents in goldens.values_mut() {
            let mut at = 0..;
            documents.retain(|_, _| at.next().is_some_and(|at: usize| at.is_multiple_of(3)));
        }
    }
    goldens
}

/// The goldens' documents only, answered and scored.
fn outcomes(
    goldens: &Goldens,
    weights: &Path,
    tokenizer: &Tokenizer,
    dtype: DtypeChoice,
    texts: bool,
) -> Option<HashMap<(String, usize), Outcome>> {
    // One at a time: the threads of two engines wait for each other, and both are slower than one after the other.
    static ENGINE: Mutex<()> = Mutex::new(());
    let _alone = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    let store = DatasetStore::new(Some(shared("datasets")?)).unwrap();
    let model =
        Model::load(weights, LoadOptions { dtype, device: DeviceChoice::Cpu, ..LoadOptions::default() })
            .unwrap();
    let index = TaskIndex::load(&[]).unwrap();
    let mut all = HashMap::new();
    for (name, documents) in goldens {
        if !texts && documents.values().any(|requests| requests[0].text.is_some()) {
            continue;
        }
        let task = index.select(std::slice::from_ref(name)).unwrap().tasks.remove(0);
        let limit = Some(documents.keys().max().unwrap() + 1);
        let options = PromptOptions { limits: limit.into(), ..PromptOptions::default() };
        let mut built = BuiltTask::build(task, &store, &options, tokenizer).unwrap();
        // The reference computed every second document.
        let mut at = 0..;
        built.tokens.retain(|_| documents.contains_key(&at.next().unwrap()));
        built.requests.documents.retain(|document| documents.contains_key(&document.doc_id));
        assert_eq!(built.tokens.len(), documents.len());
        let limits = RequestLimits::of_length(model.facts().max_length);
        let fitted = FittedTask::fit(0, built, limits).unwrap();
        let tasks = vec![AnsweredTask::new(&fitted)];
        let plan = RunPlan::new(&tasks, usize::MAX).unwrap();
        let mut evaluation = Evaluation::default();
        let mut forward = LoadedModel::new(&model, tokenizer);
        let engine = &mut LocalEngine::new(&mut forward, tokenizer);
        let (stop, notify, ledger) = (&|| false, &mut |_: Event<'_>| {}, &mut NullLedger);
        evaluate(tasks, &plan, &mut EvalContext { engine, stop, notify, ledger }, &mut evaluation).unwrap();
        for outcome in evaluation.tasks.remove(0).outcomes {
            all.insert((name.clone(), outcome.doc_id), outcome);
        }
    }
    Some(all)
}

fn argmax(values: impl Iterator<Item = f64>) -> (usize, f64) {
    let mut sorted: Vec<(usize, f64)> = values.enumerate().collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    (sorted[0].0, sorted[0].1 - sorted[1].1)
}

/// Every score is within the tolerance; every greedy flag, every decision that rounding cannot flip and every
/// text is equal. Returns how many scores, decisions and texts there are.
fn assert_equal(goldens: &Goldens, outcomes: &HashMap<(String, usize), Outcome>) -> [usize; 3] {
    let (mut scores, mut worst, mut decisions, mut texts) = (0, 0.0f64, 0, 0);
    let mut faults = Vec::new();
    for (task, documents) in goldens {
        for (doc_id, requests) in documents {
            let which = format!("{task} document {doc_id}");
            let outcome = &outcomes[&(task.clone(), *doc_id)];
            assert_eq!(outcome.responses.len(), requests.len(), "{which}");
            let mut found = Vec::new();
            for (golden, response) in requests.iter().zip(&outcome.responses) {
                match response {
                    Response::Generation { text, .. } => {
                        if Some(text) != golden.text.as_ref() {
                            faults.push(format!("{which}: text {text:?}, expected {:?}", golden.text));
                        }
                        texts += 1;
                    }
                    Response::Loglikelihood { loglikelihood, is_greedy, .. } => {
                        let expected = golden.ll.unwrap();
                        let difference = (loglikelihood - expected).abs();
                        worst = worst.max(difference / (1e-3 + 1e-5 * expected.abs()));
                        if difference > 1e-3 + 1e-5 * expected.abs() {
                            faults.push(format!(
                                "{which} request {}: {loglikelihood}, expected {expected}",
                                golden.i
                            ));
                        }
                        if Some(*is_greedy) != golden.greedy {
                            faults.push(format!("{which} request {}: greedy is {is_greedy}", golden.i));
                        }
                        scores += 1;
                        found.push(*loglikelihood);
                    }
                }
            }
            if found.len() > 1 {
                let (expected, margin) = argmax(requests.iter().map(|golden| golden.ll.unwrap()));
                if margin > 2e-3 && argmax(found.into_iter()).0 != expected {
                    faults.push(format!("{which}: another decision"));
                }
                decisions += 1;
            }
        }
    }
    eprintln!(
        "{scores} scores, the worst at {worst:.3} of its tolerance; {decisions} decisions; {texts} texts"
    );
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
    let asked: usize = goldens.values().flat_map(BTreeMap::values).map(Vec::len).sum();
    assert_eq!(scores + texts, asked);
    [scores, decisions, texts]
}

fn reference_folder() -> Option<(Goldens, std::path::PathBuf)> {
    Some((goldens()?, model("smollm2-135m-f32")?))
}

#[test]
fn single_precision_agrees_with_the_reference_engine() {
    let Some((goldens, weights)) = reference_folder() else { return };
    let tokenizer = Tokenizer::from_file(&weights.join("tokenizer.json")).unwrap();
    let Some(outcomes) = outcomes(&goldens, &weights, &tokenizer, DtypeChoice::F32, true) else { return };
    let [scores, decisions, texts] = assert_equal(&goldens, &outcomes);
    assert!(scores > 900 && decisions > 200 && texts == 10);
}

#[test]
fn a_gguf_file_agrees_with_the_reference_engine() {
    let (Some(goldens), Some(file)) = (goldens(), model("SmolLM2-135M-Instruct.Q4_1.gguf")) else { return };
    let tokenizer =
        Tokenizer::new(gguf_tokenizer(&file).unwrap(), file.clone(), Fingerprint::of(b"")).unwrap();
    let goldens = a_third(goldens);
    let Some(outcomes) = outcomes(&goldens, &file, &tokenizer, DtypeChoice::Auto, true) else { return };
    let [scores, decisions, texts] = assert_equal(&goldens, &outcomes);
    assert!(scores > 300 && decisions > 65 && texts > 2);
}

#[test]
fn bfloat16_takes_nine_of_ten_decisions_as_single_precision_does() {
    let (Some(goldens), Some(weights)) = (goldens(), model("smollm2-135m-bf16")) else { return };
    let tokenizer = Tokenizer::from_file(&weights.join("tokenizer.json")).unwrap();
    let goldens = a_third(goldens);
    let Some(outcomes) = outcomes(&goldens, &weights, &tokenizer, DtypeChoice::Auto, false) else { return };
    let (mut same, mut all, mut marked, mut marked_others) = (0, 0, 0, 0);
    for ((task, doc_id), outcome) in &outcomes {
        let found = outcome.responses.iter().map(|response| match response {
            Response::Loglikelihood { loglikelihood, .. } => *loglikelihood,
            Response::Generation { .. } => unreachable!("texts were left out"),
        });
        let expected = argmax(goldens[task][doc_id].iter().map(|golden| golden.ll.unwrap())).0;
        let is_same = argmax(found).0 == expected;
        let near_tie = outcome.metrics[0].decision.is_some_and(|decision| decision.near_tie);
        same += usize::from(is_same);
        marked += usize::from(near_tie);
        marked_others += usize::from(near_tie && !is_same);
        all += 1;
    }
    eprintln!(
        "{same} of {all} decisions are those of single precision; {marked} are near-ties, {marked_others} of them of the others"
    );
    assert!(same * 10 >= all * 9, "{same} of {all}");
}

//! A foreign implementation of `Engine`: it exposes no logits, has no passes, and does not know its own
//! weights.

use assay::dataset::DatasetStore;
use assay::engine::{EngineIdentity, RequestLimits};
use assay::evaluate::{
    AnsweredTask, BuiltTask, EvalContext, Evaluation, FittedTask, NullLedger, RunPlan, evaluate, fit_all,
};
use assay::prompt::PromptOptions;
use assay::store::{ModelRecord, model_identity};
use assay::task::TaskIndex;
use assay::vocabulary::Fingerprint;
use serde_json::{Value, json};

use super::*;

/// Answers each request alone, in batches from the last request on, as a server might.
struct Elsewhere {
    identity: EngineIdentity,
    tokenizer: Tokenizer,
}

impl Engine for Elsewhere {
    fn identity(&self) -> &EngineIdentity {
        &self.identity
    }

    fn limits(&self) -> RequestLimits {
        RequestLimits::of_length(MAX_LENGTH)
    }

    fn answer(
        &mut self,
        requests: &RequestTree<'_>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
    ) -> Result<Work, EngineError> {
        let mut work = Work::default();
        for batch in requests.sequences().rchunks(3) {
            work.passes += 1;
            let answers = batch.iter().map(|sequence| {
                EngineEvent::Answered(Answer {
                    id: sequence.id,
                    response: alone(sequence.request(), &self.tokenizer),
                })
            });
            for event in answers.chain([EngineEvent::BatchDone(work)]).collect::<Vec<_>>() {
                if on_event(event).is_break() {
                    return Ok(work);
                }
            }
        }
        Ok(work)
    }
}

fn fitted(tokenizer: &Tokenizer) -> Vec<FittedTask> {
    let store = DatasetStore::new(None).unwrap();
    let names = ["winogrande", "truthfulqa_mc", "gsm8k", "hendrycksTest-anatomy", "hendrycksTest-virology"];
    let tasks = TaskIndex::load(&[]).unwrap().select(&names.map(str::to_string)).unwrap().tasks;
    let options = PromptOptions { limits: Some(2).into(), num_fewshot: Some(0), ..PromptOptions::default() };
    let small = |task| {
        let mut built: BuiltTask = BuiltTask::build(task, &store, &options, tokenizer).unwrap();
        // The stand-in has a small vocabulary and few positions.
        for tokens in built.tokens.iter_mut().flatten() {
            let few = |tokens: &[u32]| tokens.iter().map(|token| token % VOCABULARY).collect::<Vec<_>>();
            *tokens = match tokens.clone() {
                TokenRequest::Loglikelihood { context, continuation } => TokenRequest::Loglikelihood {
                    context: few(&context).into(),
                    continuation: few(&continuation[..continuation.len().min(20)]),
                },
                TokenRequest::GenerateUntil { context, until, .. } => {
                    TokenRequest::GenerateUntil { context: few(&context).into(), until, max_new_tokens: 8 }
                }
            };
        }
        built
    };
    fit_all(tasks.into_iter().map(small).collect(), RequestLimits::of_length(MAX_LENGTH)).unwrap()
}

fn run(fitted: &[FittedTask], engine: &mut dyn Engine, stop_after: usize) -> Evaluation {
    let tasks: Vec<AnsweredTask<'_>> = fitted.iter().map(AnsweredTask::new).collect();
    let plan = RunPlan::new(&tasks, engine.limits().kv_budget).unwrap();
    let (mut evaluation, asked) = (Evaluation::default(), std::cell::Cell::new(0));
    let stop = &|| {
        asked.set(asked.get() + 1);
        asked.get() > stop_after
    };
    let context = &mut EvalContext { engine, stop, notify: &mut |_| {}, ledger: &mut NullLedger };
    evaluate(tasks, &plan, context, &mut evaluation).unwrap();
    evaluation
}

#[test]
fn an_engine_elsewhere_gives_the_outcomes_of_the_one_here() {
    let tokenizer = tokenizer();
    let fitted = fitted(&tokenizer);
    let mut elsewhere = Elsewhere { identity: EngineIdentity::default(), tokenizer: super::tokenizer() };
    let found = run(&fitted, &mut elsewhere, usize::MAX);
    let mut model = StandIn::default();
    let expected = run(&fitted, &mut LocalEngine::new(&mut model, &tokenizer), usize::MAX);
    assert_eq!(found.tasks.len(), fitted.len());
    for (found, expected) in found.tasks.iter().zip(&expected.tasks) {
        assert_eq!(found.outcomes, expected.outcomes);
        assert_eq!(found.estimates, expected.estimates);
        assert!(!found.outcomes.is_empty());
    }
    assert!(!found.interrupted);
    let stopped = run(&fitted, &mut elsewhere, 3);
    assert!(stopped.interrupted && stopped.tasks.len() < fitted.len());
}

#[test]
fn what_an_engine_cannot_know_of_itself_is_null() {
    let identity = model_identity(&served("http://one"));
    let unknown = ["weights", "config", "dtype", "device", "kernels", "numerics"];
    assert_eq!(identity.as_object().unwrap().len(), unknown.len() + 2);
    for key in unknown {
        assert_eq!(identity[key], Value::Null, "{key}: {}", json!(identity));
    }
    assert_ne!(identity, model_identity(&served("http://another")), "two servers are two models");
}

/// A model of which nothing but name and address is known.
fn served(location: &str) -> ModelRecord {
    let engine =
        EngineIdentity { name: "served".into(), location: location.into(), ..EngineIdentity::default() };
    let tokenizer = (String::new(), Fingerprint::of(b""));
    ModelRecord { engine, max_length: 4096, tokenizer, tokenizer_faults: Vec::new(), sample: false }
}

//! On the CPU an answer has the same bits under any schedule.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use assay::engine::{EngineEvent, LoadedModel, LocalEngine, Speculation};
use assay::model::{DeviceChoice, DtypeChoice, Kernels, LoadOptions, Model};
use assay::tokenizer::{TokenRequest, Tokenizer};
use assay::vocabulary::Response;
use proptest::prelude::*;

/// The built-in model in each number format, with grouped-query attention and a real vocabulary. Other sizes,
/// and sliding windows, are drawn at random in `model/random_models.rs`.
static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    [DtypeChoice::F32, DtypeChoice::Bf16, DtypeChoice::F16].map(|dtype| sample(dtype, Kernels::Fast)).into()
});

fn sample(dtype: DtypeChoice, kernels: Kernels) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model");
    Model::load(&folder, LoadOptions { dtype, device: DeviceChoice::Cpu, kernels }).unwrap()
}

/// How requests are answered.
#[derive(Debug, Clone)]
struct Way {
    /// Indices of the requests, in their order.
    order: Vec<usize>,
    rows_per_pass: usize,
    /// Tokens of kv budget beyond what the longest request needs.
    spare: usize,
    threads: usize,
    /// Answers after which the run is stopped and restarted with the remaining requests.
    restart_after: usize,
    speculation: Speculation,
}

/// The answers, by index of the request.
fn answers(
    model: &Model,
    tokenizer: &Tokenizer,
    requests: &[TokenRequest],
    way: &Way,
) -> HashMap<usize, Response> {
    let needed = |request: &TokenRequest| {
        request.context().len() + request.continuation().len() + request.max_new_tokens()
    };
    let kv_budget = requests.iter().map(needed).max().unwrap_or(0) + way.spare;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(way.threads).build().unwrap();
    pool.install(|| {
        let mut answers = HashMap::new();
        for restart in [way.restart_after, usize::MAX] {
            let left: Vec<usize> =
                way.order.iter().copied().filter(|index| !answers.contains_key(index)).collect();
            let asked: Vec<TokenRequest> = left.iter().map(|&index| requests[index].clone()).collect();
            let mut forward = LoadedModel::new(model, tokenizer);
            let mut engine = LocalEngine::new(&mut forward, tokenizer)
                .with_kv_budget(kv_budget)
                .with_rows_per_pass(way.rows_per_pass)
                .with_speculation(way.speculation);
            let answered = super::ask(&mut engine, &asked, &mut |event| {
                if let EngineEvent::Answered(answer) = event {
                    answers.insert(left[answer.id.request], answer.response);
                }
                if answers.len() >= restart { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            answered.unwrap();
        }
        answers
    })
}

/// Each request on its own, on one thread.
fn alone(model: &Model, tokenizer: &Tokenizer, requests: &[TokenRequest]) -> Vec<Response> {
    let way = |index| Way {
        order: vec![index],
        rows_per_pass: 1024,
        spare: 0,
        threads: 1,
        restart_after: usize::MAX,
        speculation: Speculation::Off,
    };
    (0..requests.len())
        .map(|index| answers(model, tokenizer, requests, &way(index)).remove(&index).unwrap())
        .collect()
}

/// Whether two answers are bitwise equal.
fn same(a: &Response, b: &Response) -> bool {
    match (a, b) {
        (
            Response::Loglikelihood { loglikelihood: a_ll, .. },
            Response::Loglikelihood { loglikelihood: b_ll, .. },
        ) => a_ll.to_bits() == b_ll.to_bits() && a == b,
        _ => a == b,
    }
}

/// Requests of which some share a prefix, with endings of all kinds.
fn request(vocabulary: u32) -> impl Strategy<Value = TokenRequest> {
    let prefix = (0u32..3, 0usize..120).prop_map(move |(seed, length)| {
        (0..length as u32).map(|i| (i * (7 + seed) + seed) % vocabulary).collect::<Vec<_>>()
    });
    let own = prop::collection::vec(0..vocabulary, 1..20);
    let continuation = prop::collection::vec(0..vocabulary, 0..6);
    (prefix, own, continuation, prop_oneof![1usize..12, 12usize..60]).prop_map(
        |(prefix, own, continuation, max_new_tokens)| {
            let context: Arc<[u32]> = [prefix, own].concat().into();
            if continuation.is_empty() {
                let until = vec!["\n\n".to_string()].into();
                TokenRequest::GenerateUntil { context, until, max_new_tokens }
            } else {
                TokenRequest::Loglikelihood { context, continuation }
            }
        },
    )
}

fn way(requests: usize) -> impl Strategy<Value = Way> {
    let order = Just((0..requests).collect::<Vec<_>>()).prop_shuffle();
    let rows = prop_oneof![1usize..8, 8usize..80, Just(1024)];
    let spare = prop_oneof![0usize..40, Just(100_000)];
    let restart = prop_oneof![Just(usize::MAX), 0usize..20];
    (order, 1..=requests, rows, spare, 1usize..4, restart, super::speculation()).prop_map(
        |(mut order, count, rows_per_pass, spare, threads, restart_after, speculation)| {
            order.truncate(count);
            Way { order, rows_per_pass, spare, threads, restart_after, speculation }
        },
    )
}

fn requests_and_ways() -> impl Strategy<Value = (Vec<TokenRequest>, Vec<Way>)> {
    let vocabulary = MODELS[0].facts().vocab_size as u32;
    prop::collection::vec(request(vocabulary), 1..24)
        .prop_flat_map(|requests| (Just(requests.clone()), prop::collection::vec(way(requests.len()), 3)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_changes_a_bit((requests, ways) in requests_and_ways(), format in 0usize..3) {
        let tokenizer = super::tokenizer();
        let model = &MODELS[format];
        let expected = alone(model, &tokenizer, &requests);
        for way in ways {
            let found = answers(model, &tokenizer, &requests, &way);
            prop_assert_eq!(found.len(), way.order.len());
            for (index, response) in found {
                prop_assert!(
                    same(&response, &expected[index]),
                    "{:?}, request {index}: {response:?}, alone {:?}", way, expected[index]
                );
            }
        }
    }
}

/// Drafts with a real model: several texts, of several lengths, in all number formats.
#[test]
fn drafts_of_a_model_change_no_bit_and_are_written() {
    let tokenizer = super::tokenizer();
    for model in MODELS.iter() {
        let vocabulary = model.facts().vocab_size as u32;
        let requests: Vec<TokenRequest> = (0..6u32)
            .map(|i| TokenRequest::GenerateUntil {
                context: (0..40).map(|k| (k % (5 + i) * 37 + i) % vocabulary).collect(),
                until: Vec::new().into(),
                max_new_tokens: 60 + 7 * i as usize,
            })
            .collect();
        let expected = alone(model, &tokenizer, &requests);
        for speculation in [Speculation::Auto, Speculation::On] {
            let mut forward = LoadedModel::new(model, &tokenizer);
            let mut engine = LocalEngine::new(&mut forward, &tokenizer).with_speculation(speculation);
            let mut found = HashMap::new();
            let work = super::ask(&mut engine, &requests, &mut |event| {
                if let EngineEvent::Answered(answer) = event {
                    found.insert(answer.id.request, answer.response);
                }
                ControlFlow::Continue(())
            });
            for (index, expected) in expected.iter().enumerate() {
                assert_eq!(&found[&index], expected);
            }
            let work = work.unwrap();
            assert!(work.tokens_accepted > 10, "{}: {work:?}", model.facts().dtype);
        }
    }
}

/// ARCHITECTURE.md: on the plain path the bits depend on the schedule, but scores differ by little.
#[test]
fn the_plain_path_differs_by_little() {
    let tokenizer = super::tokenizer();
    let model = sample(DtypeChoice::F32, Kernels::Plain);
    let vocabulary = model.facts().vocab_size as u32;
    let token = |i: u32| (i * i * 31 + i * 7) % vocabulary;
    let requests: Vec<TokenRequest> = (0..40)
        .map(|i| TokenRequest::Loglikelihood {
            context: (0..60 + i).map(|k| token(k + i % 4)).collect(),
            continuation: (0..5).map(|k| token(i * 5 + k)).collect(),
        })
        .collect();
    let expected = alone(&model, &tokenizer, &requests);
    let order: Vec<usize> = (0..requests.len()).collect();
    let mut worst = 0.0f64;
    for rows_per_pass in [7, 100, 1024] {
        let way = Way {
            order: order.clone(),
            rows_per_pass,
            spare: 1000,
            threads: 2,
            restart_after: usize::MAX,
            speculation: Speculation::Off,
        };
        for (index, response) in answers(&model, &tokenizer, &requests, &way) {
            let (
                Response::Loglikelihood { loglikelihood: a, .. },
                Response::Loglikelihood { loglikelihood: b, .. },
            ) = (&response, &expected[index])
            else {
                panic!("a score is a score")
            };
            worst = worst.max((a - b).abs());
        }
    }
    eprintln!("by the plain path, scores of five tokens differ by up to {worst:e} between schedules");
    assert!(worst < 1e-4, "{worst}");
}

//! The engine over a stand-in for the model: every logit is a hash of the tokens before it, rounded to bfloat16.

mod bits;
mod drafts;
mod elsewhere;
mod memory;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use assay::engine::{
    Answer, Engine, EngineError, EngineEvent, Forward, LocalEngine, RequestTree, Sequence, Speculation, Work,
    dry_run, half_ulp, log_softmax,
};
use assay::model::{Dtype, ForwardError, Row, Segment, SegmentId};
use assay::tokenizer::{TokenRequest, Tokenizer};
use assay::vocabulary::{RequestId, Response, Stops, Written};
use proptest::prelude::*;

const VOCABULARY: u32 = 300;
const MAX_LENGTH: usize = 64;
const END_OF_TEXT: u32 = 7;

/// Logits that depend on the last `sees` tokens; with a small `sees`, texts repeat themselves.
fn logits(tokens: &[u32], sees: usize) -> Vec<f32> {
    let tokens = &tokens[tokens.len().saturating_sub(sees)..];
    (0..VOCABULARY)
        .map(|token| {
            let mut hasher = DefaultHasher::new();
            (tokens, token).hash(&mut hasher);
            half::bf16::from_f32((hasher.finish() % 10_000) as f32 / 1000.0).to_f32()
        })
        .collect()
}

/// Stores for every cached segment all tokens up to its end.
struct StandIn {
    /// Number of tokens that a logit depends on.
    sees: usize,
    /// The token after which logits are not finite.
    nonsense: Option<u32>,
    /// Passes refused because of `nonsense`.
    refused: usize,
    kept: HashMap<SegmentId, Vec<u32>>,
    own: HashMap<SegmentId, usize>,
    peak: usize,
    rows: usize,
    largest_pass: usize,
    /// Rows that fit in memory, and the number of passes after which that limit holds.
    memory: Option<(usize, usize)>,
    passes: usize,
    exhausted: bool,
}

impl Default for StandIn {
    fn default() -> Self {
        Self {
            sees: usize::MAX,
            nonsense: None,
            refused: 0,
            kept: HashMap::new(),
            own: HashMap::new(),
            peak: 0,
            rows: 0,
            largest_pass: 0,
            memory: None,
            passes: 0,
            exhausted: false,
        }
    }
}

impl Forward for StandIn {
    fn pass(
        &mut self,
        segments: &[Segment],
        wanted: &[Row],
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError> {
        let count: usize = segments.iter().map(|s| s.tokens.len()).sum();
        if self.memory.is_some_and(|(rows, after)| self.passes >= after && count > rows) {
            // Memory may run out after some rows were read.
            for index in 0..wanted.len() / 2 {
                read(index, &[0.0; VOCABULARY as usize]);
            }
            self.exhausted = count == 1;
            return Err(ForwardError::OutOfMemory { reason: "out of memory".into() });
        }
        for segment in segments {
            if let Some(token) = segment.tokens.iter().position(|token| Some(*token) == self.nonsense) {
                self.refused += 1;
                return Err(ForwardError::NotFinite {
                    path: Default::default(),
                    what: "logits",
                    id: segment.id,
                    token,
                });
            }
        }
        self.passes += 1;
        let mut texts = Vec::new();
        for segment in segments {
            let before = match segment.prefix.last() {
                Some(parent) => self.kept[parent].clone(),
                None => Vec::new(),
            };
            let mut text = self.kept.get(&segment.id).cloned().unwrap_or(before);
            let first = text.len();
            text.extend_from_slice(&segment.tokens);
            self.rows += segment.tokens.len();
            self.kept.insert(segment.id, text.clone());
            *self.own.entry(segment.id).or_default() += segment.tokens.len();
            texts.push((first, text));
        }
        self.largest_pass = self.largest_pass.max(count);
        self.peak = self.peak.max(self.own.values().sum());
        for (index, row) in wanted.iter().enumerate() {
            let (first, text) = &texts[row.segment];
            read(index, &logits(&text[..first + row.token + 1], self.sees));
        }
        Ok(())
    }

    fn release(&mut self, id: SegmentId) {
        self.own.remove(&id);
        let was_kept = self.kept.remove(&id).is_some();
        assert!(was_kept || self.exhausted, "{id:?} is released once, and was kept");
    }

    fn truncate(&mut self, id: SegmentId, length: usize) -> Result<(), ForwardError> {
        let (own, text) = self.own.get_mut(&id).zip(self.kept.get_mut(&id)).expect("a kept segment is cut");
        assert!((1..*own).contains(&length), "{length} of {own} tokens");
        text.truncate(text.len() - *own + length);
        *own = length;
        Ok(())
    }

    fn max_length(&self) -> usize {
        MAX_LENGTH
    }

    fn end_of_text(&self) -> &[u32] {
        &[END_OF_TEXT]
    }

    fn dtype(&self) -> Dtype {
        Dtype::Bf16
    }
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json")).unwrap()
}

/// Whether `token` and the most likely other one could have had the opposite order before rounding.
fn is_close(logits: &[f32], token: u32) -> bool {
    let reach = |i: usize, sign: f64| f64::from(logits[i]) + sign * half_ulp(logits[i], Dtype::Bf16);
    let is_first = (0..logits.len()).all(|i| logits[i] <= logits[token as usize]);
    let others = (0..logits.len()).filter(|&i| i != token as usize);
    if is_first {
        others.into_iter().any(|i| reach(i, 1.0) >= reach(token as usize, -1.0))
    } else {
        others.into_iter().all(|i| reach(i, -1.0) <= reach(token as usize, 1.0))
    }
}

/// The plain way: each request alone, each position recomputed.
fn alone(request: &TokenRequest, tokenizer: &Tokenizer) -> Response {
    alone_by(usize::MAX, request, tokenizer)
}

/// The same with a stand-in whose logits depend on the last `sees` tokens.
fn alone_by(sees: usize, request: &TokenRequest, tokenizer: &Tokenizer) -> Response {
    let logits = |text: &[u32]| logits(text, sees);
    let mut text: Vec<u32> = request.context().to_vec();
    match request {
        TokenRequest::Loglikelihood { continuation, .. } => {
            let room = MAX_LENGTH + 1 - continuation.len();
            text.drain(..text.len().saturating_sub(room));
            let (mut loglikelihood, mut rounding, mut greedy, mut close) = (0.0, 0.0, Vec::new(), Vec::new());
            for &target in continuation {
                let row = logits(&text);
                let softmax = log_softmax(&row);
                loglikelihood += f64::from(softmax.log_probability(row[target as usize]));
                rounding += half_ulp(row[target as usize], Dtype::Bf16);
                greedy.push(softmax.argmax == target);
                close.push(is_close(&row, target));
                text.push(target);
            }
            let (some, every) = (close.contains(&true), greedy.iter().zip(&close).all(|(g, c)| *g || *c));
            Response::Loglikelihood {
                loglikelihood,
                is_greedy: !greedy.contains(&false),
                num_tokens: continuation.len(),
                rounding,
                greedy_near_tie: some && every,
            }
        }
        TokenRequest::GenerateUntil { until, max_new_tokens, .. } => {
            text.drain(..text.len().saturating_sub(MAX_LENGTH - max_new_tokens));
            let prompt = text.len();
            let mut near_ties = 0;
            loop {
                let row = logits(&text);
                let token = log_softmax(&row).argmax;
                near_ties += usize::from(is_close(&row, token));
                text.push(token);
                let ended = text.last() == Some(&END_OF_TEXT);
                let written = tokenizer.decode(&text[prompt..text.len() - usize::from(ended)]).unwrap();
                let stops = until.iter().any(|stop| written.contains(stop.as_str()));
                if stops || ended || text.len() - prompt == *max_new_tokens {
                    let cut =
                        |text: String, stop: &String| text.split(stop.as_str()).next().unwrap().to_string();
                    return Response::Generation {
                        text: until.iter().fold(written, cut),
                        num_tokens: text.len() - prompt,
                        near_ties,
                        // A generation past its stops gives two texts, as if each had been requested alone.
                        beyond: until.beyond.as_ref().map(|stops| {
                            let mut wider = request.clone();
                            if let TokenRequest::GenerateUntil { until, .. } = &mut wider {
                                *until = stops.clone().into();
                            }
                            match alone_by(sees, &wider, tokenizer) {
                                Response::Generation { text, num_tokens, near_ties, .. } => {
                                    Written { text, num_tokens, near_ties }
                                }
                                _ => unreachable!("a text"),
                            }
                        }),
                    };
                }
            }
        }
    }
}

fn speculation() -> impl Strategy<Value = Speculation> {
    prop_oneof![Just(Speculation::Off), Just(Speculation::Auto), Just(Speculation::On)]
}

/// The requests as those of one document, truncated to `max_length` positions.
fn sequences(requests: &[TokenRequest], max_length: usize) -> Result<Vec<Sequence>, EngineError> {
    let id = |request| RequestId { task: 0, document: 0, request };
    let sequence =
        |(index, request): (usize, &TokenRequest)| Sequence::new(id(index), request.clone(), max_length);
    requests.iter().enumerate().map(sequence).collect()
}

/// Sends the requests to an engine.
fn ask(
    engine: &mut dyn Engine,
    requests: &[TokenRequest],
    on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
) -> Result<Work, EngineError> {
    let sequences = sequences(requests, engine.limits().max_length)?;
    engine.answer(&RequestTree::new(sequences.iter().collect()), on_event)
}

/// The planned work, without a model.
fn planned(requests: &[TokenRequest], kv_budget: usize) -> Work {
    let sequences = sequences(requests, MAX_LENGTH).unwrap();
    dry_run(&RequestTree::new(sequences.iter().collect()), kv_budget).unwrap()
}

/// Number of rows that the model computed.
fn rows(work: &Work) -> usize {
    work.tokens_computed + work.tokens_generated + work.tokens_drafted - work.tokens_accepted
}

fn request() -> impl Strategy<Value = TokenRequest> {
    let context = prop::collection::vec(prop_oneof![3 => 0u32..3, 1 => 0u32..VOCABULARY], 1..90);
    let continuation = prop::collection::vec(0u32..VOCABULARY, 0..5);
    (context, continuation, 1usize..9).prop_map(|(context, continuation, max_new_tokens)| {
        if continuation.is_empty() {
            let until = vec!["e".to_string(), "Question".to_string()].into();
            TokenRequest::GenerateUntil { context: context.into(), until, max_new_tokens }
        } else {
            TokenRequest::Loglikelihood { context: context.into(), continuation }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_each_request_alone(requests in prop::collection::vec(request(), 1..60), spare in 0usize..300) {
        let tokenizer = tokenizer();
        let mut model = StandIn::default();
        let mut answers = HashMap::new();
        // The minimum that the longest request needs, and `spare` more.
        let kv_budget = MAX_LENGTH + spare;
        let mut engine = LocalEngine::new(&mut model, &tokenizer).with_kv_budget(kv_budget);
        let work = ask(&mut engine, &requests, &mut |event| {
            if let EngineEvent::Answered(Answer { id, response }) = event {
                assert!(answers.insert(id.request, response).is_none(), "answered once");
            }
            ControlFlow::Continue(())
        }).unwrap();
        for (index, request) in requests.iter().enumerate() {
            prop_assert_eq!(&answers[&index], &alone(request, &tokenizer));
        }
        prop_assert_eq!(work.tokens_computed, work.tokens_planned);
        prop_assert_eq!(rows(&work), model.rows);
        prop_assert!(model.largest_pass <= 1024);
        prop_assert!(model.kept.is_empty(), "everything is forgotten at the end");
        prop_assert_eq!(work.peak_live_kv_tokens, model.peak);
        prop_assert!(model.peak <= kv_budget, "{} tokens are kept, of {}", model.peak, kv_budget);
        let planned = planned(&requests, kv_budget);
        prop_assert_eq!(planned.tokens_planned, work.tokens_planned);
        prop_assert!(planned.peak_live_kv_tokens <= kv_budget);
    }
}

#[test]
fn breaking_off_keeps_what_was_answered_and_forgets_the_rest() {
    let requests: Vec<TokenRequest> = (0..3000u32)
        .map(|i| TokenRequest::Loglikelihood { context: [i % 300, i / 300].into(), continuation: vec![1, 2] })
        .collect();
    let mut model = StandIn::default();
    let mut answered = 0;
    let outcome = ask(&mut LocalEngine::new(&mut model, &tokenizer()), &requests, &mut |event| {
        answered += usize::from(matches!(event, EngineEvent::Answered(_)));
        if answered == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(outcome.is_ok() && answered == 10 && model.kept.is_empty());
}

#[test]
fn requests_that_cannot_be_fed_are_named() {
    let empty = TokenRequest::Loglikelihood { context: [1].into(), continuation: vec![] };
    let long = TokenRequest::Loglikelihood { context: [1].into(), continuation: vec![1; MAX_LENGTH + 1] };
    for bad in [empty, long] {
        let good = TokenRequest::Loglikelihood { context: [1].into(), continuation: vec![2] };
        let error = sequences(&[good, bad], MAX_LENGTH).unwrap_err();
        assert_eq!(error.request(), Some(RequestId { task: 0, document: 0, request: 1 }));
    }
    let requests = [TokenRequest::Loglikelihood { context: [1, 2, 3].into(), continuation: vec![2, 3] }];
    let (mut model, tokenizer) = (StandIn::default(), tokenizer());
    let mut engine = LocalEngine::new(&mut model, &tokenizer).with_kv_budget(3);
    let error = ask(&mut engine, &requests, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, EngineError::KvBudget { needed: 4, budget: 3, .. }), "{error:?}");
}

#[test]
fn equal_prompts_wait_for_memory() {
    let until: Stops = vec!["no such text".to_string()].into();
    let prompt = |length: u32| TokenRequest::GenerateUntil {
        context: (20..20 + length).collect(),
        until: until.clone(),
        max_new_tokens: 12,
    };
    // Equal prompts, and one that continues them.
    let requests: Vec<TokenRequest> = (0..80).map(|_| prompt(20)).chain([prompt(24)]).collect();
    for (kv_budget, texts) in [(36, 1), (60, 3), (MAX_LENGTH * 40, 32)] {
        let mut model = StandIn::default();
        let mut answered = 0;
        let tokenizer = tokenizer();
        let mut engine = LocalEngine::new(&mut model, &tokenizer).with_kv_budget(kv_budget);
        let work = ask(&mut engine, &requests, &mut |event| {
            if let EngineEvent::Answered(Answer { id, response }) = event {
                assert_eq!(response, alone(&requests[id.request], &tokenizer));
                answered += 1;
            }
            ControlFlow::Continue(())
        });
        assert_eq!(answered, requests.len());
        assert!(model.kept.is_empty());
        assert!(
            model.peak <= kv_budget.min(24 + 12 * texts),
            "{} tokens are kept, of {kv_budget}",
            model.peak
        );
        assert_eq!(work.unwrap().peak_live_kv_tokens, model.peak);
        assert!(planned(&requests, kv_budget).peak_live_kv_tokens <= kv_budget);
    }
}

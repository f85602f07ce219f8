//! Drafts change only the number of passes that a text takes.

use super::*;

/// A prompt that repeats a few tokens, as does the output of a stand-in with a small `sees`.
fn text(max_new_tokens: usize, until: &[&str], seed: u32) -> TokenRequest {
    let until: Vec<String> = until.iter().map(|stop| stop.to_string()).collect();
    let context: Vec<u32> = (0..20).map(|i| 20 + seed + i % 4).collect();
    TokenRequest::GenerateUntil { context: context.into(), until: until.into(), max_new_tokens }
}

/// The answers and the work that they took.
fn answers(
    model: &mut dyn Forward,
    requests: &[TokenRequest],
    speculation: Speculation,
    kv_budget: usize,
) -> (HashMap<usize, Response>, Work) {
    let (tokenizer, mut answers) = (tokenizer(), HashMap::new());
    let mut engine =
        LocalEngine::new(model, &tokenizer).with_kv_budget(kv_budget).with_speculation(speculation);
    let work = ask(&mut engine, requests, &mut |event| {
        if let EngineEvent::Answered(answer) = event {
            assert!(answers.insert(answer.id.request, answer.response).is_none(), "answered once");
        }
        ControlFlow::Continue(())
    });
    (answers, work.unwrap())
}

fn any_request() -> impl Strategy<Value = TokenRequest> {
    // Stop strings of one token, of several, and none that occurs.
    let stops =
        prop_oneof![Just(vec!["e"]), Just(vec!["no such text"]), Just(vec!["th", " a"]), Just(vec![])];
    // Some continue past the first stop.
    let repeating = (1usize..40, stops, 0u32..6, any::<bool>()).prop_map(|(most, until, seed, beyond)| {
        let mut request = text(most, &until, seed);
        if let TokenRequest::GenerateUntil { until, .. } = &mut request {
            until.beyond = beyond.then(|| until.iter().skip(1).cloned().collect());
        }
        request
    });
    prop_oneof![2 => repeating, 1 => request()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_and_counts_are_those_without_drafts(
        requests in prop::collection::vec(any_request(), 1..60),
        sees in prop_oneof![Just(usize::MAX), 1usize..4],
        spare in 0usize..300,
    ) {
        let tokenizer = tokenizer();
        let kv_budget = MAX_LENGTH + spare;
        let (_, plain) = answers(&mut StandIn { sees, ..StandIn::default() }, &requests, Speculation::Off, kv_budget);
        prop_assert_eq!((plain.tokens_drafted, plain.tokens_accepted), (0, 0));
        for speculation in [Speculation::Auto, Speculation::On] {
            let mut model = StandIn { sees, ..StandIn::default() };
            let (answers, work) = answers(&mut model, &requests, speculation, kv_budget);
            for (index, request) in requests.iter().enumerate() {
                prop_assert_eq!(&answers[&index], &alone_by(sees, request, &tokenizer));
            }
            prop_assert_eq!(work.tokens_computed, work.tokens_planned);
            prop_assert_eq!(work.tokens_generated, plain.tokens_generated);
            prop_assert!(work.tokens_accepted <= work.tokens_drafted.min(work.tokens_generated));
            prop_assert_eq!(rows(&work), model.rows);
            prop_assert_eq!(work.peak_live_kv_tokens, model.peak);
            prop_assert!(model.peak <= kv_budget, "{} tokens are kept, of {}", model.peak, kv_budget);
            prop_assert!(model.kept.is_empty(), "everything is forgotten at the end");
            prop_assert!(model.largest_pass <= 1024);
        }
    }
}

#[test]
fn texts_that_repeat_themselves_take_fewer_passes() {
    // Each token depends only on the one before it, so the text ends in a cycle.
    let requests: Vec<TokenRequest> = (0..8).map(|seed| text(40, &[], seed)).collect();
    let run = |speculation| {
        let mut model = StandIn { sees: 1, ..StandIn::default() };
        let (answers, work) = answers(&mut model, &requests, speculation, 10_000);
        (answers, work, model.passes)
    };
    let (plain, _, passes) = run(Speculation::Off);
    let (drafted, work, fewer) = run(Speculation::Auto);
    assert_eq!(plain, drafted);
    assert!(plain.values().any(|response| matches!(response, Response::Generation { num_tokens: 40, .. })));
    assert!(work.tokens_accepted > 100, "{work:?}");
    assert!(fewer + 10 < passes, "{fewer} passes with drafts, {passes} without");
}

#[test]
fn a_text_ends_within_a_draft_where_it_ends_without() {
    let tokenizer = tokenizer();
    let whole = |seed| match alone_by(1, &text(40, &[], seed), &tokenizer) {
        Response::Generation { text, num_tokens: 40, .. } => Some((seed, text)),
        _ => None,
    };
    let (seed, written) = (0..100).find_map(whole).expect("a text that goes on");
    // In the text's second half, drafts predict the tokens.
    let at = (written.len() / 2..).find(|at| written.is_char_boundary(*at)).unwrap();
    let mut within = 0;
    for length in 1..6 {
        for start in at..at + 12 {
            let Some(stop) = written.get(start..start + length) else { continue };
            for most in [40, 39, 33] {
                // The stop string can match only in the second half.
                let request = match text(most, &[], seed) {
                    TokenRequest::GenerateUntil { context, .. } => TokenRequest::GenerateUntil {
                        context,
                        until: vec![format!("{}{stop}", &written[..start]), "no such text".into()].into(),
                        max_new_tokens: most,
                    },
                    scored => scored,
                };
                let mut model = StandIn { sees: 1, ..StandIn::default() };
                let requests = [request];
                let (answers, work) = answers(&mut model, &requests, Speculation::On, 10_000);
                assert_eq!(answers[&0], alone_by(1, &requests[0], &tokenizer));
                let Response::Generation { num_tokens, .. } = answers[&0] else { panic!("a text") };
                assert_eq!(work.tokens_generated, num_tokens - 1);
                within += usize::from(num_tokens < most && work.tokens_accepted > 0);
            }
        }
    }
    assert!(within > 10, "{within} texts were stopped after drafts");
}

#[test]
fn a_draft_without_numbers_is_no_fault() {
    let tokenizer = tokenizer();
    let nonsense = 299;
    // What the model generates after `last`, each token from the one before it.
    let writes = |last: u32| {
        let mut written = vec![last];
        while written.len() <= 12 {
            written.push(log_softmax(&logits(&written, 1)).argmax);
        }
        written
    };
    let goes_on = |written: &Vec<u32>| !written.contains(&nonsense) && !written[1..].contains(&END_OF_TEXT);
    let written = (20..200).map(writes).find(goes_on).expect("a text that goes on");
    // The prompt contains it already, except for one token: there the draft is wrong, which must have no
    // effect.
    let context = [&written[1..7], &[nonsense], &written[7..], &written[..1]].concat();
    let request =
        TokenRequest::GenerateUntil { context: context.into(), until: Vec::new().into(), max_new_tokens: 12 };
    let requests = vec![request; 3];
    for memory in [None, Some((3, 1)), Some((5, 1)), Some((20, 1))] {
        let mut model = AfterPrompts { model: StandIn { sees: 1, memory, ..StandIn::default() }, nonsense };
        let (answers, work) = answers(&mut model, &requests, Speculation::On, 10_000);
        for (index, request) in requests.iter().enumerate() {
            assert_eq!(answers[&index], alone_by(1, request, &tokenizer));
        }
        let model = model.model;
        assert!(model.refused > 0, "nonsense is drafted");
        assert!(memory.is_some() || work.tokens_accepted > 0, "other drafts are fed");
        assert_eq!((rows(&work), work.peak_live_kv_tokens), (model.rows, model.peak));
        assert!(model.kept.is_empty());
    }
}

/// A stand-in whose logits after `nonsense` are not finite, except in prompts.
struct AfterPrompts {
    model: StandIn,
    nonsense: u32,
}

impl Forward for AfterPrompts {
    fn pass(
        &mut self,
        segments: &[Segment],
        wanted: &[Row],
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError> {
        let is_prompt = segments.iter().all(|segment| segment.prefix.is_empty());
        self.model.nonsense = (!is_prompt).then_some(self.nonsense);
        self.model.pass(segments, wanted, read)
    }

    fn release(&mut self, id: SegmentId) {
        self.model.release(id);
    }

    fn truncate(&mut self, id: SegmentId, length: usize) -> Result<(), ForwardError> {
        self.model.truncate(id, length)
    }

    fn max_length(&self) -> usize {
        self.model.max_length()
    }

    fn end_of_text(&self) -> &[u32] {
        self.model.end_of_text()
    }

    fn dtype(&self) -> Dtype {
        self.model.dtype()
    }
}

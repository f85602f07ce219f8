//! A device whose memory runs out.

use assay::dataset::DatasetStore;
use assay::engine::{LoadedModel, ROWS_PER_PASS, RequestLimits};
use assay::evaluate::{
    AnsweredTask, BuiltTask, EvalContext, Evaluation, FittedTask, NullLedger, RunPlan, evaluate, fit_all,
};
use assay::model::{LoadOptions, Model};
use assay::prompt::PromptOptions;
use assay::task::TaskIndex;
use assay::vocabulary::Event;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_the_same_when_memory_runs_out(
        requests in prop::collection::vec(request(), 1..60),
        spare in 0usize..300,
        memory in prop_oneof![1usize..8, 8usize..200],
        after in 0usize..6,
        sees in prop_oneof![Just(usize::MAX), 1usize..3],
        speculation in speculation(),
    ) {
        let tokenizer = tokenizer();
        let mut model = StandIn { sees, memory: Some((memory, after)), ..StandIn::default() };
        let (mut answers, mut narrowed, mut passes) = (HashMap::new(), Vec::new(), 0);
        let kv_budget = MAX_LENGTH + spare;
        let mut engine = LocalEngine::new(&mut model, &tokenizer).with_kv_budget(kv_budget).with_speculation(speculation);
        let work = ask(&mut engine, &requests, &mut |event| {
            match event {
                EngineEvent::Answered(answer) => {
                    assert!(answers.insert(answer.id.request, answer.response).is_none(), "answered once");
                }
                EngineEvent::BatchesNarrowed { rows } => narrowed.push(rows),
                EngineEvent::BatchDone(_) => passes += 1,
            }
            ControlFlow::Continue(())
        }).unwrap();
        for (index, request) in requests.iter().enumerate() {
            prop_assert_eq!(&answers[&index], &alone_by(sees, request, &tokenizer));
        }
        // Successful passes are not repeated, and failed ones are not counted.
        prop_assert_eq!(work.tokens_computed, work.tokens_planned);
        prop_assert_eq!(rows(&work), model.rows);
        prop_assert_eq!(work.peak_live_kv_tokens, model.peak);
        prop_assert!(model.peak <= kv_budget);
        prop_assert!(model.kept.is_empty(), "everything is forgotten at the end");
        prop_assert!(narrowed.is_sorted_by(|a, b| a > b), "each is said once: {:?}", narrowed);
        if narrowed.is_empty() {
            prop_assert_eq!(model.passes, passes);
        } else {
            // Passes are not narrowed further than halving requires.
            prop_assert!(narrowed.iter().all(|rows| rows * 2 > memory), "{:?} for {}", narrowed, memory);
        }
    }
}

#[test]
fn passes_stay_small_and_the_next_run_s_too() {
    let requests: Vec<TokenRequest> = (0..900u32)
        .map(|i| TokenRequest::Loglikelihood { context: [i % 300, i / 300].into(), continuation: vec![1, 2] })
        .collect();
    let tokenizer = tokenizer();
    let mut model = StandIn { memory: Some((300, 0)), ..StandIn::default() };
    let mut engine = LocalEngine::new(&mut model, &tokenizer);
    for expected in [vec![256], vec![]] {
        let mut narrowed = Vec::new();
        let answered = ask(&mut engine, &requests, &mut |event| {
            if let EngineEvent::BatchesNarrowed { rows } = event {
                narrowed.push(rows);
            }
            ControlFlow::Continue(())
        });
        answered.unwrap();
        assert_eq!(narrowed, expected);
    }
    assert_eq!(model.largest_pass, 256);
}

#[test]
fn without_memory_for_one_row_the_run_ends() {
    let request = TokenRequest::Loglikelihood { context: [1, 2, 3].into(), continuation: vec![4] };
    let mut model = StandIn { memory: Some((0, 0)), ..StandIn::default() };
    let mut narrowed = Vec::new();
    let outcome = ask(&mut LocalEngine::new(&mut model, &tokenizer()), &[request], &mut |event| {
        if let EngineEvent::BatchesNarrowed { rows } = event {
            narrowed.push(rows);
        }
        ControlFlow::Continue(())
    });
    assert!(
        matches!(outcome, Err(EngineError::Forward(ForwardError::OutOfMemory { .. }))),
        "an error, no answer: {outcome:?}"
    );
    assert_eq!((narrowed, model.rows, model.kept.len()), (vec![1], 0, 0));
}

/// The sample model on a device with memory for at most `rows` rows.
struct Tight<'a> {
    loaded: LoadedModel<'a>,
    rows: usize,
    refused: usize,
}

impl Forward for Tight<'_> {
    fn pass(
        &mut self,
        segments: &[Segment],
        wanted: &[Row],
        read: &(dyn Fn(usize, &[f32]) + Sync),
    ) -> Result<(), ForwardError> {
        if segments.iter().map(|s| s.tokens.len()).sum::<usize>() > self.rows {
            self.refused += 1;
            return Err(ForwardError::OutOfMemory { reason: "out of memory".into() });
        }
        self.loaded.pass(segments, wanted, read)
    }

    fn release(&mut self, id: SegmentId) {
        self.loaded.release(id);
    }

    fn truncate(&mut self, id: SegmentId, length: usize) -> Result<(), ForwardError> {
        self.loaded.truncate(id, length)
    }

    fn max_length(&self) -> usize {
        self.loaded.max_length()
    }

    fn end_of_text(&self) -> &[u32] {
        self.loaded.end_of_text()
    }

    fn dtype(&self) -> Dtype {
        self.loaded.dtype()
    }
}

#[test]
fn a_model_grows_its_segments_when_passes_are_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model");
    let model = Model::load(&folder, LoadOptions::default()).unwrap();
    let tokenizer = tokenizer();
    let store = DatasetStore::new(None).unwrap();
    let names = ["arc_challenge", "winogrande", "gsm8k"].map(str::to_string);
    let tasks = TaskIndex::load(&[]).unwrap().select(&names).unwrap().tasks;
    let options = PromptOptions { limits: Some(3).into(), ..PromptOptions::default() };
    let built: Vec<BuiltTask> =
        tasks.into_iter().map(|task| BuiltTask::build(task, &store, &options, &tokenizer).unwrap()).collect();
    let limits = RequestLimits::of_length(model.facts().max_length);
    let fitted: Vec<FittedTask> = fit_all(built, limits).unwrap();

    let run = |rows: usize| {
        let mut tight = Tight { loaded: LoadedModel::new(&model, &tokenizer), rows, refused: 0 };
        let (mut evaluation, mut said) = (Evaluation::default(), Vec::new());
        let notify = &mut |event: Event<'_>| {
            if let Event::BatchesNarrowed { rows: rows_per_pass } = event {
                said.push(rows_per_pass);
            }
        };
        let tasks: Vec<AnsweredTask<'_>> = fitted.iter().map(AnsweredTask::new).collect();
        let plan = RunPlan::new(&tasks, usize::MAX).unwrap();
        let engine = &mut LocalEngine::new(&mut tight, &tokenizer);
        let context = &mut EvalContext { engine, stop: &|| false, notify, ledger: &mut NullLedger };
        evaluate(tasks, &plan, context, &mut evaluation).unwrap();
        (evaluation, said, tight.refused)
    };
    let (whole, said, refused) = run(ROWS_PER_PASS);
    assert_eq!((whole.rows_per_batch, said, refused), (Some(ROWS_PER_PASS), vec![], 0));
    // Fewer rows than concurrent generations.
    let (cut, said, refused) = run(2);
    assert!(refused > 0 && refused < 12, "{refused} passes failed: the smaller size stays over all tasks");
    assert_eq!(said.last().copied(), cut.rows_per_batch);
    assert!(cut.rows_per_batch.unwrap() <= 2 && said.len() <= 2, "{said:?}");
    assert_eq!(cut.work.tokens_computed, whole.work.tokens_computed);
    for (cut, whole) in cut.tasks.iter().zip(&whole.tasks) {
        for (cut, whole) in cut.outcomes.iter().zip(&whole.outcomes) {
            for (cut, whole) in cut.responses.iter().zip(&whole.responses) {
                assert_eq!(cut, whole);
            }
        }
    }
}

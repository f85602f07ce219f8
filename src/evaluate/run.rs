//! From tokens to estimates.

use std::ops::ControlFlow;

use miette::Diagnostic;
use thiserror::Error;

use super::ledger::{Answered, Ledger, NotKept, RequestPlace};
use super::prepare::{PrepareError, Prepared};
use crate::engine::{Engine, EngineError, Forward, Heard, ROWS_PER_PASS, Speculation, Work};
use crate::metric::MetricError;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Estimate, Event, Measured, Outcome, Response, TaskRecord};

/// An evaluation that cannot go on. What was finished before is kept.
#[derive(Debug, Error, Diagnostic)]
pub enum EvaluateError {
    /// The model or the tokenizer.
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::engine), help("{hint}"))]
    Engine {
        /// The task.
        task: String,
        /// The fault.
        source: EngineError,
        /// What to do.
        hint: String,
    },
    /// A request.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Request(#[from] PrepareError),
    /// A document's metrics.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metric(#[from] MetricError),
    /// A score that is no number.
    #[error(
        "task `{task}`, document {doc_id} (row {row}): request {request}: the loglikelihood is {loglikelihood}, expected a number"
    )]
    #[diagnostic(
        code(assay::engine),
        help("the weights are damaged, or too large for the number format: try --dtype float32")
    )]
    NotFinite {
        /// The task.
        task: String,
        /// The document.
        doc_id: usize,
        /// Its row.
        row: usize,
        /// Which of its requests.
        request: usize,
        /// What was computed.
        loglikelihood: f64,
    },
    /// The ledger.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NotKept(#[from] NotKept),
}

/// What an evaluation found.
pub struct Evaluation {
    /// The tasks that were begun, in order; the last one perhaps in part.
    pub tasks: Vec<TaskRecord>,
    /// What it cost.
    pub work: Work,
    /// Rows of a pass, at most; fewer where the device's memory ran out.
    pub rows_per_pass: usize,
    /// Whether it was asked to stop.
    pub interrupted: bool,
}

impl Default for Evaluation {
    fn default() -> Self {
        let (tasks, work) = Default::default();
        Self { tasks, work, rows_per_pass: ROWS_PER_PASS, interrupted: false }
    }
}

/// What an evaluation works with.
pub struct Means<'a> {
    /// The model.
    pub forward: &'a mut dyn Forward,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Tokens whose keys and values are kept at once, at most.
    pub room: usize,
    /// Whether texts are drafted.
    pub speculation: Speculation,
    /// Asked after every pass whether to stop.
    pub stop: &'a dyn Fn() -> bool,
    /// Hears what happens.
    pub notify: &'a mut dyn FnMut(Event<'_>),
    /// Keeps the answers.
    pub ledger: &'a mut dyn Ledger,
}

/// Answers and scores all prepared tasks, family by family: tasks that share a tag share their first tokens too, and are
/// answered as one. Answers that are known are not computed again.
///
/// When it is stopped, and on an error, what was finished is in `evaluation`.
///
/// # Errors
/// See [`EvaluateError`].
pub fn evaluate(
    prepared: &[Prepared],
    means: &mut Means<'_>,
    evaluation: &mut Evaluation,
) -> Result<(), EvaluateError> {
    let mut first_task = 0;
    for family in families(prepared) {
        if (means.stop)() {
            evaluation.interrupted = true;
            return Ok(());
        }
        let mut family = Family::new(family, first_task, evaluation.rows_per_pass, evaluation.work);
        first_task += family.tasks.len();
        for task in &family.tasks {
            let task = task.prepared;
            (means.notify)(Event::TaskStarted { task: &task.task.name, documents: task.tokens.len() });
        }
        let outcome = family.answer(means);
        evaluation.work.add(&family.work);
        evaluation.rows_per_pass = family.rows_per_pass;
        evaluation.tasks.extend(family.tasks.into_iter().map(TaskProgress::record));
        evaluation.interrupted |= outcome?;
        if evaluation.interrupted {
            return Ok(());
        }
    }
    Ok(())
}

/// Neighbouring tasks with the same first tag; a task without one is a family of its own.
pub fn families(prepared: &[Prepared]) -> impl Iterator<Item = &[Prepared]> {
    prepared.chunk_by(|a, b| !a.task.tags.is_empty() && a.task.tags.first() == b.task.tags.first())
}

/// Tasks whose requests are answered together.
struct Family<'a> {
    tasks: Vec<TaskProgress<'a>>,
    /// Place of each request that is not answered yet; tasks count from the family's first.
    places: Vec<RequestPlace>,
    /// The first task's place in the run.
    first_task: usize,
    work: Work,
    /// What the families before cost.
    work_before: Work,
    rows_per_pass: usize,
}

impl<'a> Family<'a> {
    fn new(prepared: &'a [Prepared], first_task: usize, rows_per_pass: usize, work_before: Work) -> Self {
        let mut places = Vec::new();
        for (task, prepared) in prepared.iter().enumerate() {
            let open = prepared.open();
            places.extend(open.map(|(document, request)| RequestPlace { task, document, request }));
        }
        let tasks = prepared.iter().map(TaskProgress::new).collect();
        Self { tasks, places, first_task, work: Work::default(), work_before, rows_per_pass }
    }

    /// Whether it was asked to stop.
    fn answer(&mut self, means: &mut Means<'_>) -> Result<bool, EvaluateError> {
        for task in &mut self.tasks {
            task.take_known(means.notify)?;
        }
        if self.places.is_empty() {
            return Ok(false);
        }
        let Means { forward, tokenizer, room, speculation, stop, notify, ledger } = means;
        let prepared: Vec<&Prepared> = self.tasks.iter().map(|task| task.prepared).collect();
        let requests = prepared.into_iter().flat_map(Prepared::open_tokens);
        let mut fault: Option<EvaluateError> = None;
        let mut stopped = false;
        let mut heard_of: Vec<Answered> = Vec::new();
        let mut engine = Engine::new(&mut **forward, tokenizer)
            .with_room(*room)
            .with_rows_per_pass(self.rows_per_pass)
            .with_speculation(*speculation);
        let answered = engine.answer(requests, &mut |heard| match heard {
            Heard::Answer(answer) => {
                let place = self.places[answer.request];
                heard_of.push(Answered { place, response: answer.response });
                ControlFlow::Continue(())
            }
            Heard::Narrowed { rows_per_pass } => {
                self.rows_per_pass = rows_per_pass;
                notify(Event::PassesNarrowed { rows_per_pass });
                ControlFlow::Continue(())
            }
            Heard::Pass(work) => {
                self.work = work;
                let answers = std::mem::take(&mut heard_of);
                if let Err(error) = self.count(answers, *ledger, *notify) {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
                notify(Event::Advanced { tokens: work.tokens_computed + work.tokens_generated });
                stopped = stop();
                if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        });
        if let Some(error) = fault {
            return Err(error);
        }
        match answered {
            Ok(work) => self.work = work,
            Err(source) => return Err(self.engine_fault(source)),
        }
        Ok(stopped)
    }

    /// Keeps the answers of a pass, and only then scores what is complete with them.
    fn count(
        &mut self,
        mut answers: Vec<Answered>,
        ledger: &mut dyn Ledger,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), EvaluateError> {
        if answers.is_empty() {
            return Ok(());
        }
        for answered in &mut answers {
            self.tasks[answered.place.task].check(answered)?;
            answered.place.task += self.first_task;
        }
        let mut work = self.work_before;
        work.add(&self.work);
        ledger.keep(&answers, &work)?;
        for Answered { place, response } in answers {
            self.tasks[place.task - self.first_task].take(place.document, place.request, response, notify)?;
        }
        Ok(())
    }

    fn engine_fault(&self, source: EngineError) -> EvaluateError {
        let name = |task: &TaskProgress<'_>| task.prepared.task.name.to_string();
        let task = match source.request().and_then(|request| self.places.get(request)) {
            Some(&RequestPlace { task, document, .. }) => {
                let document = &self.tasks[task].prepared.requests.documents[document];
                format!("{}, document {} (row {})", name(&self.tasks[task]), document.doc_id, document.row)
            }
            None => self.tasks.iter().map(name).collect::<Vec<_>>().join(", "),
        };
        let hint = source.help().map(|help| help.to_string()).unwrap_or_default();
        EvaluateError::Engine { task, source, hint }
    }
}

struct TaskProgress<'a> {
    prepared: &'a Prepared,
    responses: Vec<Vec<Option<Response>>>,
    outcomes: Vec<Option<Outcome>>,
    sums: Vec<f64>,
    finished: usize,
}

impl<'a> TaskProgress<'a> {
    fn new(prepared: &'a Prepared) -> Self {
        Self {
            prepared,
            responses: prepared.tokens.iter().map(|requests| vec![None; requests.len()]).collect(),
            outcomes: vec![None; prepared.tokens.len()],
            sums: vec![0.0; prepared.scorer.names().count()],
            finished: 0,
        }
    }

    /// Takes the answers that are known already.
    fn take_known(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), MetricError> {
        let prepared = self.prepared;
        for (document, requests) in prepared.known.iter().enumerate() {
            for (request, known) in requests.iter().enumerate() {
                if let Some(response) = known {
                    self.take(document, request, response.clone(), notify)?;
                }
            }
        }
        Ok(())
    }

    /// Only numbers are kept.
    fn check(&self, answered: &Answered) -> Result<(), EvaluateError> {
        match answered.response {
            Response::Loglikelihood { loglikelihood, .. } if !loglikelihood.is_finite() => {
                let document = &self.prepared.requests.documents[answered.place.document];
                Err(EvaluateError::NotFinite {
                    task: self.prepared.task.name.to_string(),
                    doc_id: document.doc_id,
                    row: document.row,
                    request: answered.place.request,
                    loglikelihood,
                })
            }
            _ => Ok(()),
        }
    }

    /// Takes a response; with a document's last one the document is scored.
    fn take(
        &mut self,
        index: usize,
        place: usize,
        response: Response,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), MetricError> {
        self.responses[index][place] = Some(response);
        if self.responses[index].iter().any(Option::is_none) {
            return Ok(());
        }
        let document = &self.prepared.requests.documents[index];
        let responses: Vec<Response> =
            std::mem::take(&mut self.responses[index]).into_iter().flatten().collect();
        let metrics = self.prepared.scorer.score(document, &responses)?;
        self.finished += 1;
        for (sum, measured) in self.sums.iter_mut().zip(&metrics) {
            *sum += measured.value;
        }
        let (doc_id, row) = (document.doc_id, document.row);
        let (gold, choices, views) =
            (document.gold.clone(), document.choices.clone(), document.views.clone());
        let outcome = Outcome { doc_id, row, gold, choices, views, responses, metrics };
        let mean = |(of, sum): (&Measured, &f64)| (of.name.clone(), sum / self.finished as f64);
        let running: Vec<(String, f64)> = outcome.metrics.iter().zip(&self.sums).map(mean).collect();
        notify(Event::DocumentFinished {
            task: &self.prepared.task.name,
            outcome: &outcome,
            requests: outcome.responses.len(),
            running: &running,
        });
        self.outcomes[index] = Some(outcome);
        if self.finished == self.outcomes.len() {
            let estimates = self.estimates();
            notify(Event::TaskFinished { task: &self.prepared.task.name, estimates: &estimates });
        }
        Ok(())
    }

    /// Each metric over the finished documents; none where none is finished.
    fn estimates(&self) -> Vec<(String, Estimate)> {
        let names = self.prepared.scorer.names().enumerate();
        let estimate = |(index, name): (usize, &str)| {
            let values: Vec<f64> = self.outcomes.iter().flatten().map(|o| o.metrics[index].value).collect();
            (!values.is_empty()).then(|| (name.to_string(), self.prepared.scorer.estimate(index, &values)))
        };
        names.filter_map(estimate).collect()
    }

    fn record(self) -> TaskRecord {
        let estimates = self.estimates();
        let Prepared { task, requests, tokens, .. } = self.prepared;
        let outcomes: Vec<Outcome> = self.outcomes.into_iter().flatten().collect();
        TaskRecord {
            task: task.name.clone(),
            tag: task.tags.first().cloned(),
            included: task.included,
            version: task.version.clone(),
            config: task.config.clone(),
            num_fewshot: requests.num_fewshot,
            declared_fewshot: task.fewshot.count.unwrap_or(0),
            available: requests.available,
            asked: tokens.len(),
            outcomes,
            estimates,
            passed: task.passed(),
            sample: requests.splits.iter().any(|(_, split)| split.is_sample()),
            truncated: self.prepared.truncated.clone(),
            file: task.fingerprint.clone(),
            splits: self.prepared.splits(),
        }
    }
}

//! From tokens to estimates.

use std::ops::ControlFlow;

use miette::Diagnostic;
use thiserror::Error;

use super::prepare::{PrepareError, Prepared};
use crate::engine::{Engine, EngineError, Forward, Heard, ROWS_PER_PASS, Work};
use crate::metric::MetricError;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{
    Estimate, Event, Fingerprint, Fingerprinter, Measured, Outcome, Request, Response, TaskRecord,
};

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

/// Answers and scores all prepared tasks, family by family: tasks that share a tag share their first tokens too, and are
/// answered as one.
///
/// The keys and values of at most `room` tokens are kept at once. `stop` is asked after every pass; then, and on an error, what was
/// finished is in `evaluation`.
///
/// # Errors
/// See [`EvaluateError`].
pub fn evaluate(
    prepared: &[Prepared],
    forward: &mut dyn Forward,
    tokenizer: &Tokenizer,
    room: usize,
    stop: &dyn Fn() -> bool,
    notify: &mut dyn FnMut(Event<'_>),
    evaluation: &mut Evaluation,
) -> Result<(), EvaluateError> {
    for family in families(prepared) {
        if stop() {
            evaluation.interrupted = true;
            return Ok(());
        }
        let mut family = Family::new(family, evaluation.rows_per_pass);
        for task in &family.tasks {
            let task = task.prepared;
            notify(Event::TaskStarted { task: &task.task.name, documents: task.tokens.len() });
        }
        let outcome = family.answer(forward, tokenizer, room, stop, notify);
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
    /// Task, document and place of each request.
    places: Vec<(usize, usize, usize)>,
    work: Work,
    rows_per_pass: usize,
}

impl<'a> Family<'a> {
    fn new(prepared: &'a [Prepared], rows_per_pass: usize) -> Self {
        let mut places = Vec::new();
        for (task, prepared) in prepared.iter().enumerate() {
            for (document, requests) in prepared.tokens.iter().enumerate() {
                places.extend((0..requests.len()).map(|place| (task, document, place)));
            }
        }
        let tasks = prepared.iter().map(TaskProgress::new).collect();
        Self { tasks, places, work: Work::default(), rows_per_pass }
    }

    /// Whether it was asked to stop.
    fn answer(
        &mut self,
        forward: &mut dyn Forward,
        tokenizer: &Tokenizer,
        room: usize,
        stop: &dyn Fn() -> bool,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, EvaluateError> {
        let prepared: Vec<&Prepared> = self.tasks.iter().map(|task| task.prepared).collect();
        let requests = prepared.into_iter().flat_map(Prepared::flat);
        let mut fault = None;
        let mut stopped = false;
        let mut engine =
            Engine::new(forward, tokenizer).with_room(room).with_rows_per_pass(self.rows_per_pass);
        let answered = engine.answer(requests, &mut |heard| match heard {
            Heard::Answer(answer) => {
                let (task, document, place) = self.places[answer.request];
                match self.tasks[task].take(document, place, answer.response, notify) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        fault = Some(error);
                        ControlFlow::Break(())
                    }
                }
            }
            Heard::Narrowed { rows_per_pass } => {
                self.rows_per_pass = rows_per_pass;
                notify(Event::PassesNarrowed { rows_per_pass });
                ControlFlow::Continue(())
            }
            Heard::Pass(work) => {
                self.work = work;
                notify(Event::Advanced { tokens: work.tokens_computed + work.tokens_generated });
                stopped = stop();
                if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        });
        if let Some(error) = fault {
            return Err(error.into());
        }
        match answered {
            Ok(work) => self.work = work,
            Err(source) => {
                let name = |task: &TaskProgress<'_>| task.prepared.task.name.to_string();
                let task = match source.request().and_then(|request| self.places.get(request)) {
                    Some(&(task, document, _)) => {
                        let document = &self.tasks[task].prepared.requests.documents[document];
                        format!(
                            "{}, document {} (row {})",
                            name(&self.tasks[task]),
                            document.doc_id,
                            document.row
                        )
                    }
                    None => self.tasks.iter().map(name).collect::<Vec<_>>().join(", "),
                };
                let hint = source.help().map(|help| help.to_string()).unwrap_or_default();
                return Err(EvaluateError::Engine { task, source, hint });
            }
        }
        Ok(stopped)
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
        let outcome = Outcome { doc_id, row, gold: document.gold.clone(), responses, metrics };
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
            sample: requests.splits.iter().any(|(_, split)| split.is_sample()),
            truncated: self.prepared.truncated,
            file: task.fingerprint.clone(),
            prompts: prompts_fingerprint(self.prepared),
            tokens: tokens_fingerprint(self.prepared),
            splits: self.prepared.splits(),
        }
    }
}

fn prompts_fingerprint(prepared: &Prepared) -> Fingerprint {
    let mut hasher = Fingerprinter::default();
    for request in prepared.requests.documents.iter().flat_map(|document| &document.requests) {
        hasher.part(request.context().as_bytes());
        match request {
            Request::Loglikelihood { continuation, .. } => hasher.part(continuation.as_bytes()),
            Request::GenerateUntil { until, .. } => hasher.part(until.join("\u{1f}").as_bytes()),
        };
    }
    hasher.finish()
}

fn tokens_fingerprint(prepared: &Prepared) -> Fingerprint {
    let bytes = |tokens: &[u32]| tokens.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<u8>>();
    let mut hasher = Fingerprinter::default();
    for request in prepared.tokens.iter().flatten() {
        hasher.part(&bytes(request.context())).part(&bytes(request.continuation()));
    }
    hasher.finish()
}

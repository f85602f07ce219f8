//! From tokens to estimates.

use std::ops::ControlFlow;

use miette::Diagnostic;
use thiserror::Error;

use super::prepare::{PrepareError, Prepared};
use crate::engine::{Engine, EngineError, Forward, Work};
use crate::metric::MetricError;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{
    Estimate, Event, Fingerprint, Fingerprinter, Outcome, Request, Response, TaskRecord,
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
#[derive(Default)]
pub struct Evaluation {
    /// The tasks that were begun, in order; the last one perhaps in part.
    pub tasks: Vec<TaskRecord>,
    /// What it cost.
    pub work: Work,
    /// Whether it was asked to stop.
    pub interrupted: bool,
}

/// Answers and scores all prepared tasks, one after the other.
///
/// `stop` is asked after every pass; then, and on an error, what was finished is in `evaluation`.
///
/// # Errors
/// See [`EvaluateError`].
pub fn evaluate(
    prepared: &[Prepared],
    forward: &mut dyn Forward,
    tokenizer: &Tokenizer,
    stop: &dyn Fn() -> bool,
    notify: &mut dyn FnMut(Event<'_>),
    evaluation: &mut Evaluation,
) -> Result<(), EvaluateError> {
    for task in prepared {
        if stop() {
            evaluation.interrupted = true;
            return Ok(());
        }
        let mut progress = TaskProgress::new(task);
        notify(Event::TaskStarted { task: &task.task.name, documents: task.tokens.len() });
        let outcome = progress.answer(forward, tokenizer, stop, notify);
        let (record, work) = progress.record();
        if record.outcomes.len() == record.asked {
            notify(Event::TaskFinished { task: &task.task.name, estimates: &record.estimates });
        }
        evaluation.work.add(&work);
        evaluation.tasks.push(record);
        evaluation.interrupted |= outcome?;
        if evaluation.interrupted {
            return Ok(());
        }
    }
    Ok(())
}

struct TaskProgress<'a> {
    prepared: &'a Prepared,
    /// Document and place of each request.
    places: Vec<(usize, usize)>,
    responses: Vec<Vec<Option<Response>>>,
    outcomes: Vec<Option<Outcome>>,
    sums: Vec<f64>,
    finished: usize,
    work: Work,
}

impl<'a> TaskProgress<'a> {
    fn new(prepared: &'a Prepared) -> Self {
        let sizes = prepared.tokens.iter().map(Vec::len);
        let places = sizes.clone().enumerate().flat_map(|(d, n)| (0..n).map(move |i| (d, i))).collect();
        Self {
            prepared,
            places,
            responses: sizes.map(|n| vec![None; n]).collect(),
            outcomes: vec![None; prepared.tokens.len()],
            sums: vec![0.0; prepared.scorer.names().count()],
            finished: 0,
            work: Work::default(),
        }
    }

    /// Whether it was asked to stop.
    fn answer(
        &mut self,
        forward: &mut dyn Forward,
        tokenizer: &Tokenizer,
        stop: &dyn Fn() -> bool,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, EvaluateError> {
        let requests = self.prepared.flat();
        let mut fault = None;
        let mut stopped = false;
        let answered = Engine::new(forward, tokenizer).answer(&requests, &mut |answer| {
            if let Err(error) = self.take(answer.request, answer.response, notify) {
                fault = Some(error);
                return ControlFlow::Break(());
            }
            stopped = stop();
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Some(error) = fault {
            return Err(error.into());
        }
        match answered {
            Ok(work) => self.work = work,
            Err(error) if error.request().is_some() => return Err(self.prepared.engine_fault(&error).into()),
            Err(source) => {
                let hint = source.help().map(|help| help.to_string()).unwrap_or_default();
                return Err(EvaluateError::Engine {
                    task: self.prepared.task.name.to_string(),
                    source,
                    hint,
                });
            }
        }
        Ok(stopped)
    }

    fn take(
        &mut self,
        request: usize,
        response: Response,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), MetricError> {
        let (index, place) = self.places[request];
        self.responses[index][place] = Some(response);
        if self.responses[index].iter().any(Option::is_none) {
            return Ok(());
        }
        let document = &self.prepared.requests.documents[index];
        let responses: Vec<Response> =
            std::mem::take(&mut self.responses[index]).into_iter().flatten().collect();
        let metrics = self.prepared.scorer.score(document, &responses)?;
        self.finished += 1;
        for (sum, (_, value)) in self.sums.iter_mut().zip(&metrics) {
            *sum += value;
        }
        let (doc_id, row) = (document.doc_id, document.row);
        let outcome = Outcome { doc_id, row, gold: document.gold.clone(), responses, metrics };
        let running = outcome
            .metrics
            .last()
            .zip(self.sums.last())
            .map(|((name, _), sum)| (name.as_str(), sum / self.finished as f64));
        notify(Event::DocumentFinished {
            task: &self.prepared.task.name,
            outcome: &outcome,
            requests: outcome.responses.len(),
            running,
        });
        self.outcomes[index] = Some(outcome);
        Ok(())
    }

    fn record(self) -> (TaskRecord, Work) {
        let Prepared { task, scorer, requests, tokens } = self.prepared;
        let outcomes: Vec<Outcome> = self.outcomes.into_iter().flatten().collect();
        let mut estimates: Vec<(String, Estimate)> = Vec::new();
        if !outcomes.is_empty() {
            for (index, name) in scorer.names().enumerate() {
                let values: Vec<f64> = outcomes.iter().map(|outcome| outcome.metrics[index].1).collect();
                estimates.push((name.to_string(), scorer.estimate(index, &values)));
            }
        }
        let splits = requests.splits.iter();
        let record = TaskRecord {
            task: task.name.clone(),
            tag: task.tags.first().cloned(),
            version: task.version.clone(),
            config: task.config.clone(),
            num_fewshot: requests.num_fewshot,
            declared_fewshot: task.fewshot.count.unwrap_or(0),
            available: requests.available,
            asked: tokens.len(),
            outcomes,
            estimates,
            sample: requests.splits.iter().any(|(_, split)| split.sample),
            truncated: self.work.truncated,
            file: task.fingerprint.clone(),
            prompts: prompts_fingerprint(self.prepared),
            tokens: tokens_fingerprint(self.prepared),
            splits: splits
                .map(|(name, split)| (split.id.clone(), name.clone(), split.fingerprint.clone()))
                .collect(),
        };
        (record, self.work)
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

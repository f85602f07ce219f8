//! From requests to estimates: families of tasks are answered and scored one after the other.

use std::ops::ControlFlow;

use miette::Diagnostic;
use thiserror::Error;

use super::answered::AnsweredTask;
use super::ledger::{Ledger, NotKept};
use super::plan::{PlannedFamily, RunPlan};
use crate::engine::{Answer, Engine, EngineError, EngineEvent, ROWS_PER_PASS, Work};
use crate::metric::MetricError;
use crate::vocabulary::{Event, Response, TaskRecord};

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
    /// A document's metrics.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metric(#[from] MetricError),
    /// A non-finite score.
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
pub struct EvalContext<'a> {
    /// Answers requests.
    pub engine: &'a mut dyn Engine,
    /// Asked after every batch whether to stop.
    pub stop: &'a dyn Fn() -> bool,
    /// Is told what happens.
    pub notify: &'a mut dyn FnMut(Event<'_>),
    /// Keeps the answers.
    pub ledger: &'a mut dyn Ledger,
}

/// Answers and scores all tasks as planned. Responses that they have already are not computed again.
///
/// When it is stopped, and on an error, what was finished is in `evaluation`.
///
/// # Errors
/// See [`EvaluateError`].
pub fn evaluate<'f>(
    tasks: Vec<AnsweredTask<'f>>,
    plan: &RunPlan<'f>,
    context: &mut EvalContext<'_>,
    evaluation: &mut Evaluation,
) -> Result<(), EvaluateError> {
    let mut tasks = tasks.into_iter();
    for planned in &plan.families {
        if (context.stop)() {
            evaluation.interrupted = true;
            return Ok(());
        }
        let tasks: Vec<AnsweredTask<'f>> = tasks.by_ref().take(planned.tasks.len()).collect();
        for task in &tasks {
            let documents = task.fitted.sequences.len();
            (context.notify)(Event::TaskStarted { task: &task.fitted.task.name, documents });
        }
        let (work_before, work) = (evaluation.work, Work::default());
        let mut family = Family { tasks, planned, work_before, work };
        let outcome = family.answer(context, &mut evaluation.rows_per_pass);
        evaluation.work.add(&family.work);
        evaluation.tasks.extend(family.tasks.into_iter().map(AnsweredTask::record));
        evaluation.interrupted |= outcome?;
        if evaluation.interrupted {
            return Ok(());
        }
    }
    Ok(())
}

/// Tasks whose requests are answered together.
struct Family<'a, 'f> {
    tasks: Vec<AnsweredTask<'f>>,
    planned: &'a PlannedFamily<'f>,
    /// What the families before cost.
    work_before: Work,
    work: Work,
}

impl<'f> Family<'_, 'f> {
    /// Whether it was asked to stop.
    fn answer(
        &mut self,
        context: &mut EvalContext<'_>,
        rows_per_pass: &mut usize,
    ) -> Result<bool, EvaluateError> {
        let EvalContext { engine, stop, notify, ledger } = context;
        for task in &mut self.tasks {
            task.score_known(*notify)?;
        }
        if self.planned.requests.is_empty() {
            return Ok(false);
        }
        let mut fault: Option<EvaluateError> = None;
        let mut stopped = false;
        let mut batch: Vec<Answer> = Vec::new();
        let answered = engine.answer(&self.planned.requests, &mut |event| match event {
            EngineEvent::Answered(answer) => {
                batch.push(answer);
                ControlFlow::Continue(())
            }
            EngineEvent::BatchesNarrowed { rows } => {
                *rows_per_pass = rows;
                notify(Event::PassesNarrowed { rows_per_pass: rows });
                ControlFlow::Continue(())
            }
            EngineEvent::BatchDone(work) => {
                self.work = work;
                if let Err(error) = self.count(std::mem::take(&mut batch), *ledger, *notify) {
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

    /// Keeps the answers of a batch, and only then scores what is complete with them.
    fn count(
        &mut self,
        answers: Vec<Answer>,
        ledger: &mut dyn Ledger,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), EvaluateError> {
        if answers.is_empty() {
            return Ok(());
        }
        answers.iter().try_for_each(|answer| self.check(answer))?;
        let mut work = self.work_before;
        work.add(&self.work);
        ledger.keep(&answers, &work)?;
        for Answer { id, response } in answers {
            let task = id.task - self.planned.tasks.start;
            self.tasks[task].take(id.document, id.request, response, notify)?;
        }
        Ok(())
    }

    fn task(&self, task: usize) -> &AnsweredTask<'f> {
        &self.tasks[task - self.planned.tasks.start]
    }

    /// Only finite scores are kept.
    fn check(&self, answer: &Answer) -> Result<(), EvaluateError> {
        match answer.response {
            Response::Loglikelihood { loglikelihood, .. } if !loglikelihood.is_finite() => {
                let fitted = self.task(answer.id.task).fitted;
                let document = &fitted.requests.documents[answer.id.document];
                Err(EvaluateError::NotFinite {
                    task: fitted.task.name.to_string(),
                    doc_id: document.doc_id,
                    row: document.row,
                    request: answer.id.request,
                    loglikelihood,
                })
            }
            _ => Ok(()),
        }
    }

    fn engine_fault(&self, source: EngineError) -> EvaluateError {
        let name = |task: &AnsweredTask<'_>| task.fitted.task.name.to_string();
        let task = match source.request() {
            Some(id) => {
                let task = self.task(id.task);
                let document = &task.fitted.requests.documents[id.document];
                format!("{}, document {} (row {})", name(task), document.doc_id, document.row)
            }
            None => self.tasks.iter().map(name).collect::<Vec<_>>().join(", "),
        };
        let hint = source.help().map(|help| help.to_string()).unwrap_or_default();
        EvaluateError::Engine { task, source, hint }
    }
}

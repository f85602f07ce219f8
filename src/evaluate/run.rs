//! From requests to estimates: families of tasks are answered and scored one after the other.

use std::ops::ControlFlow;

use miette::Diagnostic;
use thiserror::Error;

use super::answered::AnsweredTask;
use super::ledger::{Ledger, NotStored};
use super::plan::{PlannedFamily, RunPlan};
use crate::engine::{Answer, Engine, EngineError, EngineEvent, Work};
use crate::metric::MetricError;
use crate::vocabulary::{Event, Response, TaskRecord};

/// Why an evaluation cannot continue. What was finished before is kept.
#[derive(Debug, Error, Diagnostic)]
pub enum EvaluateError {
    /// The model or the tokenizer failed.
    #[error("task `{task}`: {source}")]
    #[diagnostic(code(assay::engine), help("{hint}"))]
    Engine { task: String, source: EngineError, hint: String },
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
        task: String,
        doc_id: usize,
        row: usize,
        /// Index among the document's requests.
        request: usize,
        loglikelihood: f64,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    NotStored(#[from] NotStored),
}

/// The result of an evaluation.
#[derive(Default)]
pub struct Evaluation {
    /// The tasks that were started, in order; those of the last family may be incomplete.
    pub tasks: Vec<TaskRecord>,
    pub work: Work,
    /// Maximum rows of a batch, if the engine has one; lowered if its device ran out of memory.
    pub rows_per_batch: Option<usize>,
    /// Whether it was stopped early.
    pub interrupted: bool,
}

/// What an evaluation needs.
pub struct EvalContext<'a> {
    pub engine: &'a mut dyn Engine,
    /// Called before every family and after every batch; `true` stops the evaluation.
    pub stop: &'a dyn Fn() -> bool,
    /// Receives the events.
    pub notify: &'a mut dyn FnMut(Event<'_>),
    /// Stores the answers.
    pub ledger: &'a mut dyn Ledger,
}

/// Answers and scores all tasks as planned. Existing responses are not computed again.
///
/// If it is stopped, and on an error, `evaluation` holds what was finished.
///
/// # Errors
/// See [`EvaluateError`].
pub fn evaluate<'f>(
    tasks: Vec<AnsweredTask<'f>>,
    plan: &RunPlan<'f>,
    context: &mut EvalContext<'_>,
    evaluation: &mut Evaluation,
) -> Result<(), EvaluateError> {
    evaluation.rows_per_batch = context.engine.rows_per_batch();
    let mut tasks = tasks.into_iter();
    for planned in &plan.families {
        if (context.stop)() {
            evaluation.interrupted = true;
            return Ok(());
        }
        let tasks: Vec<AnsweredTask<'f>> = tasks.by_ref().take(planned.tasks.len()).collect();
        (context.notify)(Event::FamilyStarted {
            name: tasks.first().and_then(|task| task.fitted.task.tags.first()).map(String::as_str),
            tasks: tasks.len(),
            tokens: planned.plan.expected_tokens(),
        });
        for task in &tasks {
            let documents = task.fitted.sequences.len();
            (context.notify)(Event::TaskStarted { task: &task.fitted.task.name, documents });
        }
        let (work_before, work) = (evaluation.work, Work::default());
        let mut family = Family { tasks, planned, work_before, work };
        let outcome = family.answer(context);
        evaluation.rows_per_batch = context.engine.rows_per_batch();
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
    /// The cost of the families before.
    work_before: Work,
    work: Work,
}

impl<'f> Family<'_, 'f> {
    /// Answers and scores the family; returns whether it was stopped early.
    fn answer(&mut self, context: &mut EvalContext<'_>) -> Result<bool, EvaluateError> {
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
                notify(Event::BatchesNarrowed { rows });
                ControlFlow::Continue(())
            }
            EngineEvent::BatchDone(work) => {
                self.work = work;
                if let Err(error) = self.count(std::mem::take(&mut batch), *ledger, *notify) {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
                notify(Event::BatchDone { tokens: work.tokens_computed + work.tokens_generated });
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

    /// Stores the answers of a batch, and only then scores the documents that they complete.
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

    /// A non-finite score is an error: only finite ones are stored.
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

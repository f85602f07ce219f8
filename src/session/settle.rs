//! Identifies a run: its requests, its folder, and the answers that it already has.

use std::sync::Arc;

use rayon::prelude::*;
use serde_json::Value;

use super::destination::{Destination, OpenedRun};
use super::error::SessionError;
use super::finish::EvaluatedRun;
use super::kept_answers::KeptAnswers;
use super::notice::Notify;
use super::setup::RunSetup;
use super::spans::Spans;
use super::usage::usage;
use crate::engine::{Engine, RequestLimits};
use crate::evaluate::{
    AnsweredTask, BuiltTask, Digests, EvalContext, Evaluation, FittedTask, RunPlan, evaluate, fit_all,
};
use crate::store::{Answers, JournalingLedger, ModelRecord, SessionWork, run_identity};
use crate::task::{Suite, TaskIndex};
use crate::vocabulary::{Event, Group};

/// Tasks fitted to a model, and digests of their requests.
pub struct FittedRun {
    pub tasks: Vec<FittedTask>,
    digests: Vec<Digests>,
    suite: Option<Suite>,
    groups: Vec<Group>,
}

impl FittedRun {
    /// Fits tasks to an engine's limits. `suite` is the chosen suite; without one, a suite that the tasks
    /// cover in part is used.
    ///
    /// # Errors
    /// A request that does not fit.
    pub fn new(
        built: Vec<BuiltTask>,
        limits: RequestLimits,
        suite: Option<Suite>,
        groups: Vec<Group>,
        index: &TaskIndex,
    ) -> Result<Self, SessionError> {
        let digests = built.par_iter().map(Digests::of).collect();
        let tasks = fit_all(built, limits)?;
        let suite = suite.or_else(|| covering_suite(index, &tasks));
        Ok(Self { tasks, digests, suite, groups })
    }
}

/// The first suite of which the tasks cover a column.
fn covering_suite(index: &TaskIndex, tasks: &[FittedTask]) -> Option<Suite> {
    let chosen = |name: &String| tasks.iter().any(|fitted| *fitted.task.name == **name);
    let covers = |suite: &&Suite| {
        suite
            .columns
            .iter()
            .any(|column| index.members(&column.tasks, 0).is_ok_and(|members| members.iter().all(chosen)))
    };
    index.suites().iter().find(covers).cloned()
}

/// A run with its folder, its known answers, and a plan for the rest.
pub struct SettledRun<'r> {
    setup: &'r RunSetup,
    model: &'r ModelRecord,
    identity: Value,
    suite: Option<&'r Suite>,
    groups: &'r [Group],
    digests: Vec<(Arc<str>, Digests)>,
    opened: OpenedRun<'r>,
    kept: KeptAnswers<'r>,
    tasks: Vec<AnsweredTask<'r>>,
    /// The remaining work.
    pub plan: RunPlan<'r>,
    /// Counts of the known answers.
    pub answers: Answers,
}

/// Finds the run's folder, recalls the known answers, and plans the rest for an engine that caches the keys
/// and values of at most `kv_budget` tokens.
///
/// # Errors
/// A folder that holds another run or cannot be written.
pub fn settle<'r>(
    setup: &'r RunSetup,
    fitted: &'r FittedRun,
    model: &'r ModelRecord,
    kv_budget: usize,
    destination: &'r mut Destination,
    spans: &mut Spans,
    notify: Notify<'_>,
) -> Result<SettledRun<'r>, SessionError> {
    let FittedRun { tasks, digests, suite, groups } = fitted;
    let asked: Vec<(&FittedTask, &Digests)> = tasks.iter().zip(digests).collect();
    let suite_name = suite.as_ref().map(|suite| suite.name.as_str());
    let prompts = &setup.prompts;
    let mut identity = run_identity(&setup.name, model, &asked, prompts, setup.views, suite_name);
    // The same tasks without groups are another run, since its results lack the groups' scores.
    if !groups.is_empty() {
        identity["groups"] = serde_json::json!(groups);
    }
    let names = tasks.iter().map(|fitted| fitted.task.name.clone());
    let digests = names.zip(digests.iter().cloned()).collect();
    let opened = destination.settle(&identity, &setup.session_json(&model.engine.name), notify)?;
    let mut tasks: Vec<AnsweredTask<'r>> = tasks.iter().map(AnsweredTask::new).collect();
    let mut kept = KeptAnswers::new(setup.cache.as_deref(), model);
    let answers = kept.recall(&mut tasks, opened.history, notify);
    spans.end("settling");
    let plan = RunPlan::new(&tasks, kv_budget)?;
    let suite = suite.as_ref();
    Ok(SettledRun { setup, model, identity, suite, groups, digests, opened, kept, tasks, plan, answers })
}

impl<'r> SettledRun<'r> {
    /// Answers and scores the rest, and stores the answers as they arrive. An error of the evaluation is part
    /// of the returned run, since the finished results must still be written.
    ///
    /// # Errors
    /// Known answers cannot be written to the run's folder.
    pub fn evaluate(
        self,
        engine: &mut dyn Engine,
        stop: &dyn Fn() -> bool,
        notify: &mut dyn FnMut(Event<'_>),
        spans: &mut Spans,
    ) -> Result<EvaluatedRun<'r>, SessionError> {
        let Self {
            setup,
            model,
            identity,
            suite,
            groups,
            digests,
            opened,
            mut kept,
            tasks,
            plan,
            mut answers,
        } = self;
        spans.begin();
        let mut evaluation = Evaluation::default();
        let usage = || usage(setup.began);
        let mut ledger = JournalingLedger {
            journal: &mut opened.folder.journal,
            cache: kept.cache.take(),
            tasks: digests.iter().map(|(name, _)| name.clone()).collect(),
            usage: &usage,
            work: SessionWork::default(),
            cache_fault: None,
        };
        kept.exchange(&mut ledger)?;
        let context = &mut EvalContext { engine, stop, notify, ledger: &mut ledger };
        let outcome = evaluate(tasks, &plan, context, &mut evaluation);
        let session = ledger.session(&evaluation.work);
        let cache_fault = ledger.cache_fault.take();
        answers.computed += session.requests_computed;
        spans.end("evaluating");
        Ok(EvaluatedRun {
            setup,
            model,
            identity,
            suite,
            groups,
            digests,
            opened,
            kept,
            cache_fault,
            plan: plan.total,
            evaluation,
            session,
            answers,
            outcome,
        })
    }
}

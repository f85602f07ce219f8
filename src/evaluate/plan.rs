//! How much work a run is, before it is done.

use std::ops::Range;

use rayon::prelude::*;

use super::answered::AnsweredTask;
use crate::engine::{EngineError, RequestTree, dry_run};
use crate::task::Task;

/// Counts of the work to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    pub documents: usize,
    /// Requests that are not answered yet.
    pub requests: usize,
    /// Tokens if every request were computed separately.
    pub tokens_alone: usize,
    /// Tokens to compute: one for each distinct prefix.
    pub tokens_planned: usize,
    /// Maximum number of generated tokens.
    pub tokens_to_write: usize,
    /// Peak number of tokens whose keys and values are cached at once.
    pub peak_live_kv_tokens: usize,
}

impl Plan {
    /// Expected number of tokens through the model. Most generations end at a stop string, so they count with
    /// half of their maximum.
    pub fn expected_tokens(&self) -> f64 {
        self.tokens_planned as f64 + 0.5 * self.tokens_to_write as f64
    }

    fn sum<'p>(plans: impl IntoIterator<Item = &'p Plan>) -> Self {
        plans.into_iter().fold(Plan::default(), |sum, plan| Plan {
            documents: sum.documents + plan.documents,
            requests: sum.requests + plan.requests,
            tokens_alone: sum.tokens_alone + plan.tokens_alone,
            tokens_planned: sum.tokens_planned + plan.tokens_planned,
            tokens_to_write: sum.tokens_to_write + plan.tokens_to_write,
            // Families are computed one after the other.
            peak_live_kv_tokens: sum.peak_live_kv_tokens.max(plan.peak_live_kv_tokens),
        })
    }
}

/// Tasks whose requests are answered together, as one tree.
pub struct PlannedFamily<'f> {
    /// Their indices among the run's tasks.
    pub tasks: Range<usize>,
    /// The requests that are not answered yet.
    pub requests: RequestTree<'f>,
    /// The cost of these.
    pub plan: Plan,
}

/// The remaining work of a run, by family.
pub struct RunPlan<'f> {
    /// Grouped by tag, since tasks that share a tag share their first tokens too.
    pub families: Vec<PlannedFamily<'f>>,
    /// The cost of all families.
    pub total: Plan,
}

impl<'f> RunPlan<'f> {
    /// Plans the remaining work of tasks for an engine that caches the keys and values of at most `kv_budget`
    /// tokens.
    ///
    /// # Errors
    /// A request that alone exceeds the budget; [`FittedTask::fit`](super::FittedTask::fit) finds it first,
    /// and reports it better.
    pub fn new(tasks: &[AnsweredTask<'f>], kv_budget: usize) -> Result<Self, EngineError> {
        let families = plan_groups(tasks, families(tasks), kv_budget)?;
        let total = Plan::sum(families.iter().map(|family| &family.plan));
        Ok(Self { families, total })
    }
}

/// What a run costs, in all and by its parts.
#[derive(Debug)]
pub struct RunCosts {
    pub total: Plan,
    /// Tasks that are computed together, by their indices, and their cost.
    pub families: Vec<(Range<usize>, Plan)>,
    /// Each task as if it ran alone.
    pub tasks: Vec<Plan>,
}

/// The costs of a run for an engine that caches the keys and values of at most `kv_budget` tokens.
///
/// # Errors
/// As [`RunPlan::new`].
pub fn run_costs(tasks: &[AnsweredTask<'_>], kv_budget: usize) -> Result<RunCosts, EngineError> {
    let run = RunPlan::new(tasks, kv_budget)?;
    // A task that is its own family is planned already.
    let related = run.families.iter().filter(|family| family.tasks.len() > 1);
    let related = related.flat_map(|family| family.tasks.clone()).map(|task| task..task + 1);
    let mut related = plan_groups(tasks, related.collect(), kv_budget)?.into_iter();
    let mut each = Vec::with_capacity(tasks.len());
    for family in &run.families {
        match family.tasks.len() {
            1 => each.push(family.plan),
            count => each.extend(related.by_ref().take(count).map(|task| task.plan)),
        }
    }
    let families = run.families.into_iter().map(|family| (family.tasks, family.plan)).collect();
    Ok(RunCosts { total: run.total, families, tasks: each })
}

/// Groups adjacent tasks with the same first tag; a task without a tag is a family of its own.
fn families(tasks: &[AnsweredTask<'_>]) -> Vec<Range<usize>> {
    let are_related = |a: &Task, b: &Task| !a.tags.is_empty() && a.tags.first() == b.tags.first();
    let groups = tasks.chunk_by(|a, b| are_related(&a.fitted.task, &b.fitted.task));
    groups
        .scan(0, |first, group| {
            let tasks = *first..*first + group.len();
            *first = tasks.end;
            Some(tasks)
        })
        .collect()
}

/// The plan of each group of tasks, computed as one tree.
fn plan_groups<'f>(
    tasks: &[AnsweredTask<'f>],
    groups: Vec<Range<usize>>,
    kv_budget: usize,
) -> Result<Vec<PlannedFamily<'f>>, EngineError> {
    let plan = |group: Range<usize>| plan_group(&tasks[group.clone()], group, kv_budget);
    let planned: Vec<Result<_, EngineError>> = groups.into_par_iter().map(plan).collect();
    // The first error in order of the groups, not in time.
    planned.into_iter().collect()
}

fn plan_group<'f>(
    group: &[AnsweredTask<'f>],
    tasks: Range<usize>,
    kv_budget: usize,
) -> Result<PlannedFamily<'f>, EngineError> {
    let requests = RequestTree::new(group.iter().flat_map(AnsweredTask::open).collect());
    let work = dry_run(&requests, kv_budget)?;
    let plan = Plan {
        documents: group.iter().map(|task| task.fitted.sequences.len()).sum(),
        requests: requests.sequences().len(),
        tokens_alone: work.tokens_alone,
        tokens_planned: work.tokens_planned,
        tokens_to_write: requests.sequences().iter().map(|s| s.request().max_new_tokens()).sum(),
        peak_live_kv_tokens: work.peak_live_kv_tokens,
    };
    Ok(PlannedFamily { tasks, requests, plan })
}

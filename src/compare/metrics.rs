//! By which metric tasks are compared if not all runs have the suite's.

use super::columns::{Group, SuiteColumn};
use crate::vocabulary::ComparedRun;

/// The groups, each with a metric that the first run and all of `others` have: the suite's, or else the first
/// one that they share. A group compared by another metric than the suite's is not a column of the suite.
pub fn by_shared_metrics<'a>(
    runs: &'a [ComparedRun],
    others: &[usize],
    groups: Vec<Group<'a>>,
    suite: &[SuiteColumn],
    notes: &mut Vec<String>,
) -> Vec<Group<'a>> {
    let mut kept = Vec::with_capacity(groups.len());
    for mut group in groups {
        let members: Vec<&str> = group.tasks.iter().map(|task| task.task.as_str()).collect();
        let in_all = |metric: &str| {
            let has = |run: &ComparedRun| {
                members.iter().all(|name| run.task(name).is_some_and(|task| task.metric(metric).is_some()))
            };
            std::iter::once(&0).chain(others).filter_map(|place| runs.get(*place)).all(has)
        };
        let first = members.first().and_then(|name| runs.first()?.task(name));
        let names = || first.into_iter().flat_map(|task| &task.metrics).map(|metric| metric.name.as_str());
        let wanted = group.metric.or(names().next()).unwrap_or_default();
        if !in_all(wanted) {
            let name = match members.as_slice() {
                [one] => one.to_string(),
                _ => group
                    .column
                    .and_then(|at| suite.get(at))
                    .map_or(group.name, |column| column.tasks.clone()),
            };
            let Some(shared) = names().find(|metric| in_all(metric)) else {
                notes.push(format!("{name} is not compared: the runs have no metric of it in common"));
                continue;
            };
            notes.push(format!("{name} is compared by {shared}: not all runs have {wanted}"));
            (group.name, group.metric, group.column) = (name, Some(shared), None);
        }
        kept.push(group);
    }
    kept
}

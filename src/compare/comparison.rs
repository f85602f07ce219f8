//! Comparing a merge with its parents.

use super::align::{self, Aligned};
use super::allowances::Allowances;
use super::columns::{self, SuiteColumn};
use super::conclusion::Conclusion;
use super::error::CompareError;
use super::family::{self, Family};
use super::flips::{self, Flip};
use super::metrics;
use super::roles::{MergeBy, role_notes};
use super::row::Row;
use super::rows::{self, Rows};
use super::stops::{self, StopCost};
use crate::vocabulary::ComparedRun;

/// A merge compared with each of its parents.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The merge's name.
    pub merge: String,
    /// How it is known that it is the merge.
    pub merge_by: MergeBy,
    pub parents: Vec<Parent>,
    /// Indices of the parents whose documents are known: `family` and `flips` cover those.
    pub documented: Vec<usize>,
    /// Where right and wrong answers come from; only for metrics that are right or wrong in the merge and all
    /// of those parents.
    pub family: Vec<Family>,
    /// Documents that either the merge or a parent has right, but not both.
    pub flips: Vec<Flip>,
    /// The cost of stops that generations continued past.
    pub stops: Vec<StopCost>,
    /// Notes that are needed to read it, in lower case, one sentence each.
    pub notes: Vec<String>,
}

/// A merge compared with one parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    pub name: String,
    /// Suite columns, then everything else.
    pub rows: Vec<Row>,
    /// The suite's average, if all its columns are compared over all of their documents.
    pub average: Option<Row>,
    /// What was found over all columns together; `None` if no document is known of both.
    pub conclusion: Option<Conclusion>,
}

impl Parent {
    /// The average over what was run, where that is not the suite's.
    pub fn partial(&self) -> Option<&Row> {
        let partial = self.conclusion.as_ref().filter(|found| self.average.is_none() && found.columns > 1);
        partial.map(|found| &found.together)
    }
}

/// Compares the first run, which is the merge as `merge_by` says, with each of the others.
///
/// # Errors
/// Runs that cannot be compared, see [`CompareError`].
pub fn compare(
    runs: &[ComparedRun],
    merge_by: MergeBy,
    suite: &[SuiteColumn],
    allowances: Allowances,
    seed: u64,
) -> Result<Comparison, CompareError> {
    let (merge, others) = runs.split_first().ok_or(CompareError::Nothing)?;
    let mut notes: Vec<String> = Vec::new();
    for run in runs {
        notes.extend(run.notes.iter().map(|note| format!("{}: {note}", run.source)));
    }
    notes.extend(role_notes(runs));
    check_rank(runs)?;
    align::check_numerics(runs, allowances, &mut notes)?;
    let tasks = align::align(runs, allowances, &mut notes)?;
    let mut parents = Vec::new();
    for (place, parent) in others.iter().enumerate() {
        let groups = columns::groups(&tasks, suite, &[place + 1]);
        let groups = metrics::by_shared_metrics(runs, &[place + 1], groups, suite, &mut notes);
        let Rows { rows, average, conclusion } = rows::rows(runs, place + 1, &groups, suite, seed);
        if rows.is_empty() {
            return Err(CompareError::NoTask { merge: merge.source.clone(), parent: parent.source.clone() });
        }
        if average.is_none() && (parent.tasks.is_empty() || rows.iter().any(|row| !row.whole)) {
            notes.push(format!(
                "{}: no average: not every column of the suite is compared over all of its documents",
                parent.source
            ));
        }
        parents.push(Parent { name: parent.name.clone(), rows, average, conclusion });
    }
    let stops = stops::stop_costs(runs, &tasks);
    let documented: Vec<usize> = (0..others.len()).filter(|place| !others[*place].tasks.is_empty()).collect();
    let (family, flips) = if documented.len() == others.len() {
        answers(runs, &tasks, suite)
    } else {
        let places = [0].into_iter().chain(documented.iter().map(|place| place + 1));
        let runs: Vec<ComparedRun> = places.map(|place| runs[place].clone()).collect();
        // Its notes were already added above.
        answers(&runs, &align::align(&runs, allowances, &mut Vec::new())?, suite)
    };
    notes.dedup();
    Ok(Comparison { merge: merge.name.clone(), merge_by, parents, documented, family, flips, stops, notes })
}

/// Where answers come from, and which flipped, over documents of all runs.
fn answers(runs: &[ComparedRun], tasks: &[Aligned], suite: &[SuiteColumn]) -> (Vec<Family>, Vec<Flip>) {
    let everywhere: Vec<usize> = (1..runs.len()).collect();
    let groups = columns::groups(tasks, suite, &everywhere);
    // Its notes were already added for each parent.
    let groups = metrics::by_shared_metrics(runs, &everywhere, groups, suite, &mut Vec::new());
    (family::families(runs, &groups), flips::flips(runs, &groups))
}

/// Published scores are over complete benchmarks with the leaderboard's requests: only runs like that are
/// comparable with them.
fn check_rank(runs: &[ComparedRun]) -> Result<(), CompareError> {
    let Some(published) = runs.iter().find(|run| !run.columns.is_empty()) else { return Ok(()) };
    match runs.iter().find(|run| !run.unranked.is_empty()) {
        None => Ok(()),
        Some(run) => Err(CompareError::Unranked {
            run: run.source.clone(),
            published: published.source.clone(),
            how: run.unranked.join("; "),
        }),
    }
}

//! Two or more models over the same documents: what their differences say.

mod align;
mod columns;
mod error;
mod family;
mod flips;
mod metrics;
mod rows;
mod stops;

pub use columns::{Group, SuiteColumn};
pub use error::CompareError;
pub use family::{Counts, Family, Member, Moved};
pub use flips::{Flip, FlipSide};
pub use rows::{Row, Test, Verdict};
pub use stops::{StopCost, StopScores};

use crate::vocabulary::ComparedRun;

/// What may differ between runs that are compared all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Documents that only some of the runs have are left out.
    pub common: bool,
    /// Number format, device, kernels and code may be others.
    pub other_numerics: bool,
}

/// A merge beside each of its parents.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The merge's name.
    pub merge: String,
    /// Each parent.
    pub parents: Vec<Parent>,
    /// Where right and wrong answers come from; only for what is right or wrong and has documents in all runs.
    pub family: Vec<Family>,
    /// Documents that the merge and a parent do not both have right or both wrong.
    pub flips: Vec<Flip>,
    /// What stops cost that texts were let on past.
    pub stops: Vec<StopCost>,
    /// What has to be known to read it, in lower case, a sentence each.
    pub notes: Vec<String>,
}

/// A merge beside one parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    /// Its name.
    pub name: String,
    /// Suite columns, then what is none.
    pub rows: Vec<Row>,
    /// The suite's average, where all its columns are compared whole.
    pub average: Option<Row>,
}

/// Compares the first run with each of the others.
///
/// # Errors
/// Runs that cannot be compared, see [`CompareError`].
pub fn compare(
    runs: &[ComparedRun],
    suite: &[SuiteColumn],
    allowances: Allowances,
    seed: u64,
) -> Result<Comparison, CompareError> {
    let (merge, others) = runs.split_first().ok_or(CompareError::Nothing)?;
    let mut notes: Vec<String> = Vec::new();
    for run in runs {
        notes.extend(run.notes.iter().map(|note| format!("{}: {note}", run.source)));
    }
    align::check_numerics(runs, allowances, &mut notes)?;
    let tasks = align::align(runs, allowances, &mut notes)?;
    let mut parents = Vec::new();
    for (place, parent) in others.iter().enumerate() {
        let groups = columns::groups(&tasks, suite, &[place + 1]);
        let groups = metrics::by_shared_metrics(runs, &[place + 1], groups, suite, &mut notes);
        let (rows, average) = rows::rows(runs, place + 1, &groups, suite, seed);
        if rows.is_empty() {
            return Err(CompareError::NoTask { merge: merge.source.clone(), parent: parent.source.clone() });
        }
        if average.is_none() && rows.iter().any(|row| !row.whole) {
            notes.push(format!(
                "{}: no average: not every column of the suite is compared over all of its documents",
                parent.source
            ));
        }
        parents.push(Parent { name: parent.name.clone(), rows, average });
    }
    let everywhere: Vec<usize> = (1..runs.len()).collect();
    let groups = columns::groups(&tasks, suite, &everywhere);
    // What there is to say of it was said of each parent.
    let groups = metrics::by_shared_metrics(runs, &everywhere, groups, suite, &mut Vec::new());
    let family = family::families(runs, &groups);
    let flips = flips::flips(runs, &groups);
    let stops = stops::stop_costs(runs, &tasks);
    notes.dedup();
    Ok(Comparison { merge: merge.name.clone(), parents, family, flips, stops, notes })
}

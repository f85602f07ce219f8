//! What a comparison with a parent found over all columns together.

use super::columns::SuiteColumn;
use super::row::{Row, Verdict, average_row};
use crate::statistics::{Combined, Settling, paired_strata, strata_of_column};

/// The one answer to "is the merge better than this parent?".
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// Columns (or tasks, where none is of a suite) whose documents were compared.
    pub columns: usize,
    /// Columns of the suite, if they are a suite's; more than were compared, or over all of their documents.
    pub of: Option<usize>,
    /// Whether every column of the suite is in it, over all of its documents.
    pub whole: bool,
    /// Scores, difference, interval, p-value and verdict over these columns, each weighed as in the average.
    pub together: Row,
    /// Documents that would settle it; `None` if it is settled.
    pub settling: Option<Settling>,
}

/// The differences over a task's documents, and how many documents it has in all.
pub type TaskDifferences = (Vec<f64>, Option<usize>);

/// A column as far as it was run: rows with their tasks' differences and the number of documents that each task has in all.
pub struct Share {
    /// The suite's column, if it is of one.
    pub column: Option<usize>,
    pub parts: Vec<(Row, Vec<TaskDifferences>)>,
}

/// What was found over all columns together. Each column weighs as much as another, and each task in it; tasks that are of no column
/// count only where there is no column.
pub fn together(
    mut shares: Vec<Share>,
    average: Option<&Row>,
    suite: &[SuiteColumn],
    seed: u64,
) -> Option<Conclusion> {
    let of_suite = shares.iter().any(|share| share.column.is_some());
    shares.retain(|share| share.column.is_some() == of_suite);
    let weight = 1.0 / shares.len() as f64;
    let (mut paired, mut drawn, mut scores) = (Vec::new(), Vec::new(), [0.0; 2]);
    let all: Vec<&Row> = shares.iter().flat_map(|share| share.parts.iter().map(|(row, _)| row)).collect();
    if all.is_empty() {
        return None;
    }
    for share in &shares {
        let count = share.parts.iter().map(|(_, tasks)| tasks.len()).sum::<usize>() as f64;
        for (row, tasks) in &share.parts {
            let part = weight * tasks.len() as f64 / count;
            scores = [scores[0] + part * row.merge, scores[1] + part * row.parent];
        }
        let tasks: Vec<TaskDifferences> =
            share.parts.iter().flat_map(|(_, tasks)| tasks.iter().cloned()).collect();
        paired.extend(paired_strata(weight, &tasks));
        let differences: Vec<Vec<f64>> = tasks.into_iter().map(|(differences, _)| differences).collect();
        drawn.extend(strata_of_column(weight, &differences));
    }
    let row = match average {
        Some(average) => average.clone(),
        None => Row {
            task: "average (partial)".into(),
            whole: false,
            ..average_row(&all, scores, Some(drawn), seed)
        },
    };
    let settled = row.verdict != Some(Verdict::NoDifferenceShown);
    Some(Conclusion {
        columns: shares.len(),
        of: of_suite.then_some(suite.len()),
        whole: average.is_some(),
        settling: (!settled).then(|| Combined::of(&paired).settling()),
        together: row,
    })
}

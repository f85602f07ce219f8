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

/// Documents of a task that a bootstrap of anything but right and wrong takes: fewer could not reach 5 % by the signs of their
/// differences either, and one would be certain.
const LEAST_DRAWN: usize = 6;

fn is_testable(differences: &[f64]) -> bool {
    let plain = differences.iter().all(|difference| [1.0, 0.0, -1.0].contains(difference));
    plain || differences.len() >= LEAST_DRAWN
}

/// What was found over all columns together: what the row says where there is only one. Each column weighs as much as another, and each task in it; tasks that are of no column
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
    let mut testable = true;
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
        testable &= differences.iter().all(|task| is_testable(task));
        drawn.extend(strata_of_column(weight, &differences));
    }
    let row = match (average, all.as_slice()) {
        (Some(average), _) => average.clone(),
        (None, [only]) => Row { whole: false, ..(*only).clone() },
        (None, _) => Row {
            task: "average (partial)".into(),
            whole: false,
            ..average_row(&all, scores, testable.then_some(drawn), seed)
        },
    };
    let settled = matches!(row.verdict, Some(Verdict::Better | Verdict::Worse));
    let settling = if testable { Combined::of(&paired).settling() } else { Settling::TooFew };
    Some(Conclusion {
        columns: shares.len(),
        of: of_suite.then_some(suite.len()),
        whole: average.is_some(),
        settling: (!settled).then_some(settling),
        together: row,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::row::Test;

    fn row(task: &str, verdict: Verdict) -> Row {
        Row {
            task: task.into(),
            metric: "mc2".into(),
            n: Some(1),
            merge: 0.9,
            parent: 0.25,
            difference: 0.65,
            ci95: Some([-1.0, 1.0]),
            p: Some(1.0),
            p_holm: Some(1.0),
            won: Some(1),
            lost: Some(0),
            mde: None,
            verdict: Some(verdict),
            test: Test::None,
            whole: true,
        }
    }

    fn share(task: &str, documents: usize) -> Share {
        let differences = (0..documents).map(|i| 0.65 + 0.01 * (i % 3) as f64).collect();
        Share {
            column: None,
            parts: vec![(row(task, Verdict::NoDifferenceShown), vec![(differences, None)])],
        }
    }

    #[test]
    fn one_row_is_its_own_conclusion() {
        let found = together(vec![share("a", 40)], None, &[], 1).unwrap();
        assert_eq!((found.together.p, found.together.verdict), (Some(1.0), Some(Verdict::NoDifferenceShown)));
        let found = together(vec![share("a", 1)], None, &[], 1).unwrap();
        assert_eq!(found.settling, Some(Settling::TooFew));
    }

    #[test]
    fn a_task_with_few_documents_makes_nothing_certain() {
        let found = together(vec![share("a", 40), share("b", 1)], None, &[], 1).unwrap();
        let row = &found.together;
        assert_eq!((row.p, row.ci95, row.verdict), (None, None, None));
        assert_eq!(found.settling, Some(Settling::TooFew));
        let found = together(vec![share("a", 40), share("b", 40)], None, &[], 1).unwrap();
        assert_eq!((found.together.verdict, found.settling), (Some(Verdict::Better), None));
    }
}

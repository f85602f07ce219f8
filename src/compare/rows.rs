//! Scores of two models side by side, and tests of their difference.

use super::align::Aligned;
use super::columns::{Group, SuiteColumn};
use super::conclusion::{Conclusion, Share, together};
use super::row::{Row, Test, Verdict, average_row};
use crate::statistics::{
    Count, RightOrWrong, Stratum, detectable, detectable_mean, holm, mcnemar, mean, mean_interval,
    right_or_wrong_interval, sign_flips, strata_of_column, two_shares, two_shares_detectable,
    two_shares_interval,
};
use crate::vocabulary::{ColumnScore, ComparedRun};

/// A task's values in two runs, document by document.
struct Values {
    merge: Vec<f64>,
    parent: Vec<f64>,
}

impl Values {
    fn differences(&self) -> Vec<f64> {
        self.merge.iter().zip(&self.parent).map(|(a, b)| a - b).collect()
    }

    fn right_or_wrong(&self) -> RightOrWrong {
        let count = |a: f64, b: f64| self.merge.iter().zip(&self.parent).filter(|v| *v == (&a, &b)).count();
        RightOrWrong { won: count(1.0, 0.0), lost: count(0.0, 1.0), documents: self.merge.len() }
    }
}

/// The values of the group's metric (a task's first if none is named) for one task of a group in one run,
/// with the metric's name and whether documents are right or wrong by it.
pub fn values(
    run: &ComparedRun,
    group: &Group<'_>,
    member: usize,
    place: usize,
) -> Option<(Vec<f64>, String, bool)> {
    let aligned = group.tasks.get(member)?;
    let task = run.task(&aligned.task)?;
    let metric = match group.metric {
        Some(name) => task.metric(name)?,
        None => 0,
    };
    let described = task.metrics.get(metric)?;
    let places = aligned.places.get(place)?.as_ref()?;
    let values: Vec<f64> = places.iter().map(|at| task.documents[*at].values[metric]).collect();
    let right_or_wrong = described.right_or_wrong && values.iter().all(|v| *v == 0.0 || *v == 1.0);
    Some((values, described.name.clone(), right_or_wrong))
}

/// The rows of one parent, with Holm's correction, and the average.
pub fn rows(
    runs: &[ComparedRun],
    parent: usize,
    groups: &[Group<'_>],
    suite: &[SuiteColumn],
    seed: u64,
) -> Rows {
    let mut rows: Vec<(Option<usize>, Row)> = Vec::new();
    let mut strata: Vec<Stratum> = Vec::new();
    let mut shares: Vec<Share> = Vec::new();
    for group in groups {
        let Some((row, differences)) = paired(runs, parent, group, seed) else { continue };
        if group.column.is_some() {
            strata.extend(strata_of_column(1.0 / suite.len() as f64, &differences));
        }
        let of_suite = suite
            .iter()
            .position(|column| group.tasks.iter().all(|task| column.members.contains(&task.task)));
        let available = |task: &&Aligned| runs[0].task(&task.task).and_then(|task| task.available);
        let available: Vec<Option<usize>> = group.tasks.iter().map(available).collect();
        let part = (row.clone(), differences.into_iter().zip(available).collect());
        match shares.iter_mut().find(|share| of_suite.is_some() && share.column == of_suite) {
            Some(share) => share.parts.push(part),
            None => shares.push(Share { column: of_suite, parts: vec![part] }),
        }
        rows.push((group.column, row));
    }
    let all_paired = !suite.is_empty() && (0..suite.len()).all(|at| rows.iter().any(|(c, _)| *c == Some(at)));
    for (at, column) in suite.iter().enumerate() {
        if !rows.iter().any(|(known, _)| *known == Some(at)) {
            let row = unpaired(&runs[0], &runs[parent], column);
            rows.extend(row.map(|row| (Some(at), row)));
        }
    }
    // Rows in the order of the suite's columns, single tasks at the place of their column; then the rest in
    // their own order.
    rows.sort_by_key(|(column, row)| match column {
        Some(at) => *at,
        None => suite
            .iter()
            .position(|c| c.tasks == row.task || c.members.contains(&row.task))
            .unwrap_or(usize::MAX),
    });
    let known = |of: fn(&Row) -> f64| {
        let scores: Option<Vec<f64>> = (0..suite.len())
            .map(|at| rows.iter().find(|(column, _)| *column == Some(at)).map(|(_, row)| of(row)))
            .collect();
        scores.filter(|scores| !scores.is_empty()).map(|scores| mean(&scores))
    };
    let average = known(|row| row.merge).zip(known(|row| row.parent));
    let columns: Vec<&Row> = rows.iter().filter(|(column, _)| column.is_some()).map(|(_, row)| row).collect();
    let average = average
        .map(|(merge, parent)| average_row(&columns, [merge, parent], all_paired.then_some(strata), seed));
    let conclusion = together(shares, average.as_ref().filter(|_| all_paired), suite, seed);
    let mut rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let tested: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].p.is_some()).collect();
    let p: Vec<f64> = tested.iter().filter_map(|at| rows[*at].p).collect();
    for (at, p_holm) in tested.into_iter().zip(holm(&p)) {
        let row = &mut rows[at];
        row.p_holm = Some(p_holm);
        row.verdict = Some(match (row.test, row.won.zip(row.lost)) {
            // Documents and their tasks may be weighted differently: the count of documents and the
            // difference must have the same sign.
            (Test::McNemar, Some((won, lost))) if (won > lost) != (row.difference > 0.0) => {
                Verdict::NoDifferenceShown
            }
            _ => Verdict::of(p_holm, row.difference),
        });
    }
    Rows { rows, average, conclusion }
}

/// What was found with one parent.
pub struct Rows {
    pub rows: Vec<Row>,
    /// The suite's average, if all its columns are known over all of their documents.
    pub average: Option<Row>,
    /// `None` if no document is known of both.
    pub conclusion: Option<Conclusion>,
}

/// A group's row, and its tasks' differences.
fn paired(runs: &[ComparedRun], parent: usize, group: &Group<'_>, seed: u64) -> Option<(Row, Vec<Vec<f64>>)> {
    let (mut tasks, mut metric, mut right_or_wrong) = (Vec::new(), String::new(), true);
    for member in 0..group.tasks.len() {
        let (merge, name, merge_binary) = values(&runs[0], group, member, 0)?;
        // Use the same metric in both: the first of one may not be the first of the other.
        let named = Group { metric: Some(&name), ..group.clone() };
        let (of_parent, _, parent_binary) = values(&runs[parent], &named, member, parent)?;
        right_or_wrong &= merge_binary && parent_binary;
        tasks.push(Values { merge, parent: of_parent });
        metric = name;
    }
    let score =
        |of: fn(&Values) -> &Vec<f64>| mean(&tasks.iter().map(|task| mean(of(task))).collect::<Vec<_>>());
    let (merge, of_parent) = (score(|task| &task.merge), score(|task| &task.parent));
    let differences: Vec<Vec<f64>> = tasks.iter().map(Values::differences).collect();
    let n: usize = differences.iter().map(Vec::len).sum();
    let (won, lost, ci95, p, mde, test);
    if right_or_wrong {
        let counts: Vec<RightOrWrong> = tasks.iter().map(Values::right_or_wrong).collect();
        (won, lost) = (counts.iter().map(|c| c.won).sum(), counts.iter().map(|c| c.lost).sum());
        ci95 = right_or_wrong_interval(&counts);
        p = mcnemar(won, lost);
        mde = detectable(n, (won + lost) as f64 / n as f64);
        test = Test::McNemar;
    } else {
        let all = || differences.iter().flatten();
        (won, lost) = (all().filter(|d| **d > 0.0).count(), all().filter(|d| **d < 0.0).count());
        ci95 = mean_interval(&differences);
        // Each document is weighted as in the score.
        let weighted: Vec<f64> =
            differences.iter().flat_map(|task| task.iter().map(|d| d / task.len() as f64)).collect();
        p = sign_flips(&weighted, seed);
        mde = detectable_mean(&differences);
        test = Test::SignFlips;
    }
    let row = Row {
        task: group.name.clone(),
        metric,
        n: Some(n),
        merge,
        parent: of_parent,
        // Computed from the differences themselves, so that no differences give exactly zero.
        difference: mean(&differences.iter().map(|task| mean(task)).collect::<Vec<_>>()),
        ci95: Some(ci95),
        p: Some(p),
        p_holm: None,
        won: Some(won),
        lost: Some(lost),
        mde,
        verdict: None,
        test,
        whole: group.column.is_some(),
    };
    Some((row, differences))
}

/// The row of a column for which the documents of one or both runs are not known.
fn unpaired(merge: &ComparedRun, parent: &ComparedRun, column: &SuiteColumn) -> Option<Row> {
    let alone = |run: &ComparedRun| run.columns.iter().any(|score| score.column == column.name);
    if !alone(merge) && !alone(parent) {
        return None;
    }
    let (a, b) = (column_score(merge, column)?, column_score(parent, column)?);
    let count = |score: &ColumnScore| Some(Count { right: score.correct?, documents: score.documents? });
    let counts = count(&a).zip(count(&b));
    Some(Row {
        task: column.name.clone(),
        metric: column.metric.clone(),
        n: a.documents.filter(|n| Some(*n) == b.documents),
        merge: a.score,
        parent: b.score,
        difference: a.score - b.score,
        ci95: counts.map(|(a, b)| two_shares_interval(a, b)),
        p: counts.map(|(a, b)| two_shares(a, b)),
        p_holm: None,
        won: None,
        lost: None,
        mde: counts.and_then(|(a, b)| two_shares_detectable(a, b)),
        verdict: None,
        test: if counts.is_some() { Test::Unpaired } else { Test::None },
        whole: true,
    })
}

/// A column's score: as published, or over all documents of its tasks.
fn column_score(run: &ComparedRun, column: &SuiteColumn) -> Option<ColumnScore> {
    if let Some(score) = run.columns.iter().find(|score| score.column == column.name) {
        return Some(score.clone());
    }
    let (mut scores, mut documents, mut right) = (Vec::new(), 0, Some(0));
    for name in &column.members {
        let task = run.task(name)?;
        let metric = task.metric(&column.metric)?;
        if task.available != Some(task.documents.len()) || task.documents.is_empty() {
            return None;
        }
        let values: Vec<f64> = task.documents.iter().map(|document| document.values[metric]).collect();
        documents += values.len();
        right = right.filter(|_| task.metrics[metric].right_or_wrong);
        right = right.map(|right: usize| right + values.iter().filter(|value| **value == 1.0).count());
        scores.push(mean(&values));
    }
    // A mean of several tasks' shares is not a share of documents.
    let correct = right.filter(|_| column.members.len() == 1);
    Some(ColumnScore {
        column: column.name.clone(),
        score: mean(&scores),
        documents: Some(documents),
        correct,
    })
}

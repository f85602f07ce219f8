//! A line of a comparison, and the average's.

use crate::statistics::{Stratum, bootstrap};

/// The test that a p-value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// McNemar's exact test.
    McNemar,
    /// A permutation test by sign flips of differences.
    SignFlips,
    /// The bootstrap over documents.
    Bootstrap,
    /// A test of counts alone, as if the models had answered different documents.
    Unpaired,
    /// No test: only scores are known.
    None,
}

/// The verdict on a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The merge is better.
    Better,
    /// The merge is worse.
    Worse,
    /// Neither is shown.
    NoDifferenceShown,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::NoDifferenceShown => "no difference shown",
        }
    }

    /// The verdict at a level of 5 %.
    pub fn of(p: f64, difference: f64) -> Self {
        if p < 0.05 && difference > 0.0 {
            Verdict::Better
        } else if p < 0.05 && difference < 0.0 {
            Verdict::Worse
        } else {
            Verdict::NoDifferenceShown
        }
    }
}

/// The scores of the merge and a parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// A suite's column, or a task.
    pub task: String,
    pub metric: String,
    /// Number of documents, if it is known.
    pub n: Option<usize>,
    /// The merge's score, as a fraction.
    pub merge: f64,
    /// The parent's score, as a fraction.
    pub parent: f64,
    /// The merge's score minus the parent's.
    pub difference: f64,
    /// 95 % confidence interval of the difference.
    pub ci95: Option<[f64; 2]>,
    /// p-value of the hypothesis of no difference.
    pub p: Option<f64>,
    /// `p` with Holm's correction over all rows of this parent; for the average, which is tested by itself,
    /// `p`.
    pub p_holm: Option<f64>,
    /// Documents that only the merge has right, or that it has a higher value for.
    pub won: Option<usize>,
    /// Documents that only the parent has right, or that it has a higher value for.
    pub lost: Option<usize>,
    /// Minimum detectable effect: the smallest difference that is found with a power of 80 %.
    pub mde: Option<f64>,
    /// `None` if nothing could be tested.
    pub verdict: Option<Verdict>,
    pub test: Test,
    /// Whether it is a suite's column over all of its documents.
    pub whole: bool,
}

/// The row of the suite's average; without a test if a column has no documents.
pub fn average_row(
    columns: &[&Row],
    [merge, parent]: [f64; 2],
    strata: Option<Vec<Stratum>>,
    seed: u64,
) -> Row {
    let sum = |of: fn(&Row) -> Option<usize>| columns.iter().map(|row| of(row)).sum::<Option<usize>>();
    let drawn = strata.map(|strata| bootstrap(&strata, seed));
    let difference = drawn.map_or(merge - parent, |drawn| drawn.difference);
    Row {
        task: "average".into(),
        metric: "mean of columns".into(),
        n: sum(|row| row.n),
        merge,
        parent,
        difference,
        ci95: drawn.map(|drawn| drawn.interval),
        p: drawn.map(|drawn| drawn.p),
        p_holm: drawn.map(|drawn| drawn.p),
        won: sum(|row| row.won),
        lost: sum(|row| row.lost),
        mde: drawn.and_then(|drawn| drawn.detectable),
        verdict: drawn.map(|drawn| Verdict::of(drawn.p, difference)),
        test: if drawn.is_some() { Test::Bootstrap } else { Test::None },
        whole: true,
    }
}

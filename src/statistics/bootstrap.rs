//! The bootstrap: how a mean of column means would vary over other documents of the same kind.

use rayon::prelude::*;

use super::distributions::{Z_80, Z_975};
use super::random::Random;

/// Number of resamples of the documents.
const DRAWS: u64 = 9_999;
/// Resamples of one generator.
const PART: u64 = 50;

/// Differences of two models over documents that are resampled among themselves, such as those of one MMLU
/// subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Stratum {
    weight: f64,
    documents: u32,
    mean: f64,
    drawn: Drawn,
}

#[derive(Debug, Clone, PartialEq)]
enum Drawn {
    /// Documents are won, lost or neither: the probabilities, times 2^32, of a win, and of a win or a loss.
    Chances { won: u64, discordant: u64 },
    /// Any differences.
    Values(Vec<f64>),
}

/// The strata of a column, an unweighted mean over tasks, which has the weight `weight` in the total.
///
/// If documents are won or lost, a column gets one pseudo-document, half won and half lost, shared among its
/// tasks by their sizes. Otherwise a column that wins three documents and loses none would lose none in any
/// resample, and look certain.
///
/// Source: half a document per cell, A. Agresti and Y. Min, Statistics in Medicine 24 (2005), for intervals
/// of paired differences.
pub fn strata_of_column(weight: f64, tasks: &[Vec<f64>]) -> Vec<Stratum> {
    let all: usize = tasks.iter().map(Vec::len).sum();
    let plain = tasks.iter().flatten().all(|difference| [1.0, 0.0, -1.0].contains(difference));
    let weight = weight / tasks.len() as f64;
    let stratum = |differences: &Vec<f64>| {
        let n = differences.len() as f64;
        let more = n / all as f64;
        let chance = |of: f64| {
            let count = differences.iter().filter(|difference| **difference == of).count() as f64;
            ((count + more / 2.0) / (n + more) * 2f64.powi(32)).round() as u64
        };
        let drawn = if plain {
            Drawn::Chances { won: chance(1.0), discordant: chance(1.0) + chance(-1.0) }
        } else {
            Drawn::Values(differences.clone())
        };
        Stratum {
            weight,
            documents: differences.len() as u32,
            mean: super::estimate::mean(differences),
            drawn,
        }
    };
    tasks.iter().map(stratum).collect()
}

impl Stratum {
    /// The mean over n - 1 of n documents, drawn with replacement: with n - 1, means vary as those of new
    /// documents do (P. J. McCarthy and C. B. Snowden, Vital and Health Statistics 2/95, 1985), even if a
    /// task has few documents.
    fn draw(&self, random: &mut Random) -> f64 {
        let n = self.documents.saturating_sub(1).max(1);
        let sum = match &self.drawn {
            Drawn::Chances { won, discordant } => {
                let of = |half: u64| 2 * i32::from(half < *won) - i32::from(half < *discordant);
                let mut pair = || {
                    let bits = random.bits();
                    [of(bits >> 32), of(bits & 0xffff_ffff)]
                };
                let pairs: i32 = (0..n / 2).map(|_| pair().iter().sum::<i32>()).sum();
                f64::from(pairs + if n % 2 == 1 { pair()[0] } else { 0 })
            }
            Drawn::Values(values) => {
                let mut pair = || random.two_below(self.documents).map(|at| values[at as usize]);
                let pairs: f64 = (0..n / 2).map(|_| pair().iter().sum::<f64>()).sum();
                pairs + if n % 2 == 1 { pair()[0] } else { 0.0 }
            }
        };
        sum / f64::from(n)
    }
}

/// The bootstrap's results for a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrapped {
    /// The difference over the documents as they are.
    pub difference: f64,
    /// The 2.5 % and 97.5 % quantiles of the resampled differences.
    pub interval: [f64; 2],
    /// The two-sided p-value, `2 (1 + b) / (1 + B)` where b of B resampled differences are not on the side of
    /// zero where most are: below 5 % if the interval excludes zero. It is at least 2 in 10,000.
    pub p: f64,
    /// The smallest difference that would be found with a power of 80 %; `None` if nothing varies.
    pub detectable: Option<f64>,
}

/// Resamples the documents of each stratum with replacement, and sums their weighted means.
///
/// Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), 8 and 13 (percentile intervals, stratified
/// samples); p-values by inverting the interval, A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), 4.
pub fn bootstrap(strata: &[Stratum], seed: u64) -> Bootstrapped {
    let difference = strata.iter().map(|stratum| stratum.weight * stratum.mean).sum();
    let mut drawn: Vec<f64> = (0..DRAWS.div_ceil(PART))
        .into_par_iter()
        .flat_map_iter(|part| {
            let mut random = Random::of_part(seed, part);
            let draws = PART.min(DRAWS - part * PART);
            let sums: Vec<f64> = (0..draws)
                .map(|_| strata.iter().map(|stratum| stratum.weight * stratum.draw(&mut random)).sum())
                .collect();
            sums
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    // Sums that are zero up to rounding count on both sides.
    let zero = 1e-12;
    let not_above = drawn.iter().filter(|sum| **sum <= zero).count();
    let not_below = drawn.iter().filter(|sum| **sum >= -zero).count();
    let p = 2.0 * (1 + not_above.min(not_below)) as f64 / (1 + DRAWS) as f64;
    // Of 9,999 resamples, the quantiles are the 250th from either end.
    let at = (0.025 * (1 + DRAWS) as f64).round() as usize;
    let error = super::estimate::standard_error(&drawn).unwrap_or(0.0) * (drawn.len() as f64).sqrt();
    Bootstrapped {
        difference,
        interval: [drawn[at - 1], drawn[drawn.len() - at]],
        p: p.min(1.0),
        detectable: Some((Z_975 + Z_80) * error).filter(|difference| *difference > 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(i: u32, n: u32) -> f64 {
        ((f64::from(i) + 0.5) / f64::from(n) - 0.4).powi(3)
    }

    #[test]
    fn quantiles_are_those_of_scipy() {
        // scipy.stats.bootstrap((range(300), range(80)), lambda i, j, axis: 0.5 * d[i].mean(axis=axis) + 0.5 * e[j].mean(axis=axis),
        // n_resamples=100_000, method="percentile", vectorized=True, rng=1), where d has 30 times 1 and 12 times -1, and e is
        // ((j + 0.5) / 80 - 0.4)^3
        let mut differences = vec![0.0; 300];
        differences[..30].fill(1.0);
        differences[30..42].fill(-1.0);
        let values: Vec<f64> = (0..80).map(|j| spread(j, 80)).collect();
        let strata =
            [strata_of_column(0.5, &[differences]), strata_of_column(0.5, std::slice::from_ref(&values))]
                .concat();
        let found = bootstrap(&strata, 1);
        for (found, expected) in found.interval.iter().zip(SCIPY_INTERVAL) {
            assert!((found - expected).abs() < 0.001, "{found}, expected {expected}");
        }
        let error = found.detectable.unwrap() / (Z_975 + Z_80);
        assert!((error / SCIPY_ERROR - 1.0).abs() < 0.03, "{error}, expected {SCIPY_ERROR}");
        assert!(
            (found.difference - 0.5 * (18.0 / 300.0) - 0.5 * crate::statistics::mean(&values)).abs() < 1e-15
        );
        assert_eq!(found.p <= 0.05, found.interval[0] > 0.0);
    }

    #[test]
    fn threads_change_nothing() {
        let strata = strata_of_column(1.0, &[vec![1.0, 0.0, -1.0, 1.0, 0.0]]);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap(&strata, 5))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn alike_is_alike() {
        let found = bootstrap(&strata_of_column(1.0, &[vec![0.0; 900]]), 1);
        assert_eq!((found.difference, found.p), (0.0, 1.0));
        assert!(found.interval[0] < 0.0 && found.interval[1] > 0.0 && found.interval[1] < 0.01, "{found:?}");
        let found = bootstrap(&strata_of_column(1.0, &[vec![0.0, 1e-300]]), 1);
        assert_eq!(found.p, 1.0);
    }

    /// Differences of two equally good models over right or wrong documents.
    fn alike(random: &mut Random, documents: usize, discordant: f64) -> Vec<f64> {
        let of = |number: f64| match number {
            number if number < discordant / 2.0 => 1.0,
            number if number < discordant => -1.0,
            _ => 0.0,
        };
        (0..documents).map(|_| of(random.unit())).collect()
    }

    #[test]
    fn intervals_of_an_average_hold_it_in_nineteen_of_twenty() {
        let mut random = Random::new(9);
        let (mut held, mut alarms) = (0, 0);
        let times = 250;
        for time in 0..times {
            let several: Vec<Vec<f64>> = (0..5).map(|_| alike(&mut random, 60, 0.2)).collect();
            let mut strata = strata_of_column(0.5, &several);
            strata.extend(strata_of_column(0.25, &[alike(&mut random, 150, 0.08)]));
            let masses: Vec<f64> = (0..100).map(|_| (random.unit() - 0.5) * random.unit().powi(3)).collect();
            strata.extend(strata_of_column(0.25, &[masses]));
            let found = bootstrap(&strata, time);
            held += usize::from(found.interval[0] <= 0.0 && found.interval[1] >= 0.0);
            alarms += usize::from(found.p < 0.05);
        }
        let rate = held as f64 / times as f64;
        assert!((0.91..0.985).contains(&rate), "{rate}");
        assert!(alarms.abs_diff(times as usize - held) <= 1, "{alarms} alarms, {held} held");
    }

    #[test]
    fn a_few_documents_are_no_certainty() {
        // Three won, none lost: p is 2 / 2^3 by McNemar.
        let mut won = vec![0.0; 500];
        won[..3].fill(1.0);
        assert!(bootstrap(&strata_of_column(1.0, &[won]), 1).p > 0.1);
        // Models that differ in two to ten documents, of six columns.
        let mut random = Random::new(10);
        let times = 400;
        let alarms = (0..times).filter(|time| {
            let columns = (0..6).flat_map(|_| strata_of_column(1.0 / 6.0, &[alike(&mut random, 50, 0.02)]));
            bootstrap(&columns.collect::<Vec<_>>(), *time).p < 0.05
        });
        let rate = alarms.count() as f64 / times as f64;
        assert!(rate < 0.06, "{rate}");
    }

    const SCIPY_INTERVAL: [f64; 2] = [0.021208920771280924, 0.06496576927185058];
    const SCIPY_ERROR: f64 = 0.011160066880615875;
}

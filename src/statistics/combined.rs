//! The difference of two models over several columns together, and how many documents would settle it.

use super::distributions::{Z_80, Z_975};
use super::estimate::mean;

/// The differences over the documents of one task, which has a weight in a total.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedStratum {
    pub weight: f64,
    pub documents: usize,
    /// Documents of the task in all, as far as that is known.
    pub available: Option<usize>,
    mean: f64,
    /// Variance of one document's difference.
    variance: f64,
}

/// The strata of a column, an unweighted mean over tasks, which has the weight `weight` in the total. Each task comes with the
/// number of its documents in all.
///
/// As in [`strata_of_column`](super::strata_of_column), a column of right and wrong answers gets one pseudo-document, half won
/// and half lost, shared among its tasks by their sizes: few documents without a difference are no certainty.
pub fn paired_strata(weight: f64, tasks: &[(Vec<f64>, Option<usize>)]) -> Vec<PairedStratum> {
    let all: usize = tasks.iter().map(|(differences, _)| differences.len()).sum();
    let plain = tasks.iter().flat_map(|(d, _)| d).all(|difference| [1.0, 0.0, -1.0].contains(difference));
    let stratum = |(differences, available): &(Vec<f64>, Option<usize>)| {
        let n = differences.len() as f64;
        let more = if plain { n / all as f64 } else { 0.0 };
        let mean = mean(differences);
        let squares = differences.iter().map(|d| d * d).sum::<f64>() + more;
        let middle = mean * n / (n + more);
        // Over n - 1 of n documents, as for a variance that is estimated with its mean.
        let variance =
            (squares / (n + more) - middle * middle).max(0.0) * (n + more) / (n + more - 1.0).max(1.0);
        PairedStratum {
            weight: weight / tasks.len() as f64,
            documents: differences.len(),
            available: *available,
            mean,
            variance,
        }
    };
    tasks.iter().map(stratum).collect()
}

/// A difference over all strata together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Combined {
    /// Sum of the weighted means.
    pub difference: f64,
    /// Its standard error: the root of the sum of w² s² / n.
    pub error: f64,
    pub documents: usize,
    /// Its standard error if each task had all of its documents; `None` if it is not known how many there are.
    pub least_error: Option<f64>,
}

/// How many documents more a difference takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// About so many, in the same proportions.
    Documents(usize),
    /// About so many, and the tasks do not have them.
    BeyondTasks(usize),
    /// The difference is so near zero that a number would say nothing.
    NearZero,
    /// A task has too few documents to say how much they differ.
    TooFew,
}

/// The largest multiple of the documents that is a number worth naming.
const MOST: f64 = 100.0;

impl Combined {
    /// The difference of independent strata.
    ///
    /// Source: stratified sampling, W. G. Cochran, Sampling Techniques (1977), 5.
    pub fn of(strata: &[PairedStratum]) -> Self {
        let error = |documents: &dyn Fn(&PairedStratum) -> Option<usize>| {
            let part = |stratum: &PairedStratum| {
                Some(stratum.weight.powi(2) * stratum.variance / documents(stratum)? as f64)
            };
            strata.iter().map(part).sum::<Option<f64>>().map(f64::sqrt)
        };
        Self {
            difference: strata.iter().map(|stratum| stratum.weight * stratum.mean).sum(),
            error: error(&|stratum| Some(stratum.documents)).unwrap_or(f64::NAN),
            documents: strata.iter().map(|stratum| stratum.documents).sum(),
            least_error: error(&|stratum| stratum.available),
        }
    }

    /// The documents, besides those that there are, with which a test at 5 % would find a difference like this one with a power of
    /// 80 %: errors shrink as the root of their number.
    pub fn settling(&self) -> Settling {
        let wanted = self.difference.abs() / (Z_975 + Z_80);
        let times = (self.error / wanted).powi(2);
        if !times.is_finite() || times > MOST {
            return Settling::NearZero;
        }
        let more = ((times - 1.0) * self.documents as f64).ceil().max(1.0) as usize;
        match self.least_error {
            Some(least) if least > wanted => Settling::BeyondTasks(more),
            _ => Settling::Documents(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Random;
    use proptest::prelude::*;

    fn drawn(random: &mut Random, documents: usize, won: f64, lost: f64) -> Vec<f64> {
        let of = |number: f64| match number {
            number if number < won => 1.0,
            number if number < won + lost => -1.0,
            _ => 0.0,
        };
        (0..documents).map(|_| of(random.unit())).collect()
    }

    /// A column of two tasks, and one of one task, at a multiple of their sizes; the true difference is 0.04.
    fn family(random: &mut Random, times: f64) -> Combined {
        let size = |n: f64| (n * times) as usize;
        let first =
            [(drawn(random, size(60.0), 0.16, 0.10), None), (drawn(random, size(90.0), 0.08, 0.06), None)];
        let second = [(drawn(random, size(200.0), 0.12, 0.08), None)];
        Combined::of(&[paired_strata(0.5, &first), paired_strata(0.5, &second)].concat())
    }

    #[test]
    fn the_error_is_that_of_other_documents() {
        let mut random = Random::new(3);
        let found: Vec<Combined> = (0..2_000).map(|_| family(&mut random, 1.0)).collect();
        let differences: Vec<f64> = found.iter().map(|one| one.difference).collect();
        let middle = mean(&differences);
        let spread = (differences.iter().map(|d| (d - middle).powi(2)).sum::<f64>() / 1_999.0).sqrt();
        let error = mean(&found.iter().map(|one| one.error).collect::<Vec<_>>());
        assert!((middle - 0.04).abs() < 4.0 * spread / 2_000f64.sqrt(), "{middle}");
        assert!((error / spread - 1.0).abs() < 0.06, "{error}, spread {spread}");
        let held = found.iter().filter(|one| (one.difference - 0.04).abs() < Z_975 * one.error).count();
        assert!((0.935..0.968).contains(&(held as f64 / 2_000.0)), "{held}");
    }

    #[test]
    fn so_many_documents_find_it_four_times_in_five() {
        // The number for the true difference and spread: with it, a difference is found in 80 % of samples.
        let mut random = Random::new(4);
        let error = mean(&(0..500).map(|_| family(&mut random, 4.0).error).collect::<Vec<_>>()) * 2.0;
        let truth = Combined { difference: 0.04, error, documents: 350, least_error: None };
        let Settling::Documents(more) = truth.settling() else { panic!("{truth:?}") };
        let times = (350 + more) as f64 / 350.0;
        let found = (0..1_000).filter(|_| {
            let one = family(&mut random, times);
            one.difference / one.error > Z_975
        });
        let power = found.count() as f64 / 1_000.0;
        assert!((0.76..0.84).contains(&power), "{power} with {more} more");
    }

    proptest! {
        #[test]
        fn twice_the_documents_halve_the_variance(won in 1usize..20, lost in 1usize..20, alike in 60usize..200) {
            let column = |times: usize| {
                let part = |count: usize, of: f64| vec![of; count * times];
                [part(won, 1.0), part(lost, -1.0), part(alike, 0.0)].concat()
            };
            let of = |times: usize| Combined::of(&paired_strata(1.0, &[(column(times), Some(100_000))]));
            let (once, twice) = (of(10), of(20));
            prop_assert!((once.difference - twice.difference).abs() < 1e-12);
            // The pseudo-document is one of the documents with a difference, and so weighs twice as much in half of them.
            let n = 10.0 * (won + lost + alike) as f64;
            let squares = 10.0 * (won + lost) as f64 - (10.0 * (won as f64 - lost as f64)).powi(2) / n;
            let pseudo = 1.0 / squares;
            let ratio = once.error.powi(2) / twice.error.powi(2);
            prop_assert!((2.0..2.0 * (1.0 + pseudo)).contains(&ratio), "{ratio} with {squares} squares");
            let total = |one: Combined| match one.settling() {
                Settling::Documents(more) if more > 1 => Some((more + one.documents) as f64),
                _ => None,
            };
            if let (Some(a), Some(b)) = (total(once), total(twice)) {
                let rounded = 2.0 / b;
                prop_assert!((1.0 - rounded..1.0 + pseudo + rounded).contains(&(a / b)), "{a} and {b} documents");
            }
        }
    }

    #[test]
    fn what_tasks_do_not_have_is_said() {
        let of = |won: usize, available: usize| {
            let differences = [vec![1.0; won], vec![-1.0; 10], vec![0.0; 80]].concat();
            Combined::of(&paired_strata(1.0, &[(differences, Some(available))])).settling()
        };
        assert_eq!(of(10, 1_000_000), Settling::NearZero);
        assert!(matches!(of(14, 100_000), Settling::Documents(500..2_000)), "{:?}", of(14, 100_000));
        assert!(matches!(of(14, 104), Settling::BeyondTasks(500..2_000)), "{:?}", of(14, 104));
    }
}

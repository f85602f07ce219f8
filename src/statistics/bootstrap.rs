//! How a mean of means of columns would come out over other documents of the same kind.

use rayon::prelude::*;

use super::Random;
use super::distributions::{Z_80, Z_975};

/// Times that the documents are drawn again.
const DRAWS: u64 = 9_999;
/// Draws of one generator.
const PART: u64 = 50;

/// Differences of two models over documents that are drawn again among themselves, such as those of one MMLU subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Stratum {
    /// What the mean of these documents counts for in the whole.
    pub weight: f64,
    /// Documents of a difference that is neither 1, nor -1, nor 0.
    values: Vec<f64>,
    won: u32,
    lost: u32,
    documents: u32,
}

impl Stratum {
    /// Documents of these differences.
    pub fn new(weight: f64, differences: &[f64]) -> Self {
        let count = |of: f64| differences.iter().filter(|difference| **difference == of).count() as u32;
        let (won, lost) = (count(1.0), count(-1.0));
        let plain = won + lost + count(0.0) == differences.len() as u32;
        Self {
            weight,
            values: if plain { Vec::new() } else { differences.to_vec() },
            won,
            lost,
            documents: differences.len() as u32,
        }
    }

    fn mean(&self) -> f64 {
        let sum = if self.values.is_empty() {
            f64::from(self.won) - f64::from(self.lost)
        } else {
            self.values.iter().sum()
        };
        sum / f64::from(self.documents)
    }

    /// The mean over as many documents, drawn with replacement.
    fn drawn(&self, random: &mut Random) -> f64 {
        let n = self.documents;
        let mut sum = 0.0;
        if self.values.is_empty() {
            // Where documents are won or lost, it does not matter which of them is drawn.
            let (won, discordant) = (self.won, self.won + self.lost);
            let of = |place: u32| 2 * i32::from(place < won) - i32::from(place < discordant);
            if discordant > 0 {
                let pairs: i32 = (0..n / 2).map(|_| random.two_below(n).map(of).iter().sum::<i32>()).sum();
                let last = if n % 2 == 1 { of(random.two_below(n)[0]) } else { 0 };
                sum = f64::from(pairs + last);
            }
        } else {
            for _ in 0..n / 2 {
                let [a, b] = random.two_below(n);
                sum += self.values[a as usize] + self.values[b as usize];
            }
            if n % 2 == 1 {
                sum += self.values[random.two_below(n)[0] as usize];
            }
        }
        sum / f64::from(n)
    }
}

/// What drawing documents again says of a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrapped {
    /// The difference over the documents as they are.
    pub difference: f64,
    /// The 2.5 % and 97.5 % quantiles of the differences drawn.
    pub interval: [f64; 2],
    /// The two-sided p-value, `2 (1 + b) / (1 + B)` where b of B drawn differences are not on the side of zero where most are: below
    /// 5 % where the interval leaves out zero. It is at least 2 in 10,000.
    pub p: f64,
    /// The smallest difference that would be found with a chance of 80 %; none where nothing varies.
    pub detectable: Option<f64>,
}

/// Draws the documents of each stratum again, with replacement, and sums their weighted means.
///
/// Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), 8 and 13 (percentile intervals, stratified
/// samples); p-values by inverting the interval, A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), 4.
pub fn bootstrap(strata: &[Stratum], seed: u64) -> Bootstrapped {
    let difference = strata.iter().map(|stratum| stratum.weight * stratum.mean()).sum();
    let mut drawn: Vec<f64> = (0..DRAWS.div_ceil(PART))
        .into_par_iter()
        .flat_map_iter(|part| {
            let mut random = Random::of_part(seed, part);
            let draws = PART.min(DRAWS - part * PART);
            let sums: Vec<f64> = (0..draws)
                .map(|_| strata.iter().map(|stratum| stratum.weight * stratum.drawn(&mut random)).sum())
                .collect();
            sums
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    // What is as good as zero counts on both sides.
    let zero = 1e-12;
    let not_above = drawn.iter().filter(|sum| **sum <= zero).count();
    let not_below = drawn.iter().filter(|sum| **sum >= -zero).count();
    let p = 2.0 * (1 + not_above.min(not_below)) as f64 / (1 + DRAWS) as f64;
    // Of 9,999 draws the quantiles are the 250th from either end.
    let at = (0.025 * (1 + DRAWS) as f64).round() as usize;
    let error = super::standard_error(&drawn).unwrap_or(0.0) * (drawn.len() as f64).sqrt();
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
        let strata = [Stratum::new(0.5, &differences), Stratum::new(0.5, &values)];
        let found = bootstrap(&strata, 1);
        for (found, expected) in found.interval.iter().zip(SCIPY_INTERVAL) {
            assert!((found - expected).abs() < 0.001, "{found}, expected {expected}");
        }
        let error = found.detectable.unwrap() / (Z_975 + Z_80);
        assert!((error / SCIPY_ERROR - 1.0).abs() < 0.03, "{error}, expected {SCIPY_ERROR}");
        assert!((found.difference - 0.5 * (18.0 / 300.0) - 0.5 * super::super::mean(&values)).abs() < 1e-15);
        assert_eq!(found.p <= 0.05, found.interval[0] > 0.0);
    }

    #[test]
    fn threads_change_nothing() {
        let strata = [Stratum::new(1.0, &[1.0, 0.0, -1.0, 1.0, 0.0])];
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap(&strata, 5))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn alike_is_alike() {
        let found = bootstrap(&[Stratum::new(1.0, &[0.0; 9])], 1);
        assert_eq!(found, Bootstrapped { difference: 0.0, interval: [0.0; 2], p: 1.0, detectable: None });
    }

    #[test]
    fn intervals_of_an_average_hold_it_in_nineteen_of_twenty() {
        let mut random = Random::new(9);
        let (mut held, mut alarms) = (0, 0);
        let times = 250;
        for time in 0..times {
            let mut right_or_wrong = |documents: usize, discordant: f64| -> Vec<f64> {
                let of = |number: f64| match number {
                    number if number < discordant / 2.0 => 1.0,
                    number if number < discordant => -1.0,
                    _ => 0.0,
                };
                (0..documents).map(|_| of(random.unit())).collect()
            };
            let mut strata: Vec<Stratum> =
                (0..5).map(|_| Stratum::new(0.1, &right_or_wrong(60, 0.2))).collect();
            strata.push(Stratum::new(0.25, &right_or_wrong(150, 0.08)));
            let masses: Vec<f64> = (0..100).map(|_| (random.unit() - 0.5) * random.unit().powi(3)).collect();
            strata.push(Stratum::new(0.25, &masses));
            let found = bootstrap(&strata, time);
            held += usize::from(found.interval[0] <= 0.0 && found.interval[1] >= 0.0);
            alarms += usize::from(found.p <= 0.05);
        }
        let rate = held as f64 / times as f64;
        assert!((0.9..0.985).contains(&rate), "{rate}");
        assert!(alarms.abs_diff(times as usize - held) <= 1, "{alarms} alarms, {held} held");
    }

    const SCIPY_INTERVAL: [f64; 2] = [0.021208920771280924, 0.06496576927185058];
    const SCIPY_ERROR: f64 = 0.011160066880615875;
}

//! Two models' right and wrong answers to the same documents: an exact test and its power.

use super::distributions::{Z_975, binomial_at_most};

/// The level of all tests here.
const LEVEL: f64 = 0.05;
/// The power at which a difference counts as detectable.
const POWER: f64 = 0.8;

/// The p-value of McNemar's exact test: the probability of a split of `won + lost` documents at least as
/// uneven, if each is as likely to be won as lost.
///
/// Source: Q. McNemar, Psychometrika 12 (1947); exact as the two-sided sign test, `scipy.stats.binomtest(won, won + lost)`.
pub fn mcnemar(won: usize, lost: usize) -> f64 {
    let (fewer, all) = (won.min(lost), won + lost);
    if all > 1000 {
        return (2.0 * binomial_at_most(fewer as u64, all as u64, 0.5)).min(1.0);
    }
    // Few enough that rounding of the sum is negligible and that 2^-all does not underflow.
    let (mut term, mut sum) = (0.5f64.powi(all as i32), 0.0);
    for count in 0..=fewer {
        sum += term;
        term *= (all - count) as f64 / (count + 1) as f64;
    }
    (2.0 * sum).min(1.0)
}

/// The smallest difference of two scores that McNemar's exact test at 5 % finds with a power of 80 %, if a
/// share `discordant` of `documents` documents is answered correctly by exactly one of the models; `None` if
/// no difference reaches that power.
///
/// The power is exact, over all possible counts of discordant documents. Their share is at least the
/// difference.
///
/// Source: the unconditional power of S. Suissa and J. J. Shuster, Biometrics 47 (1991), for the exact
/// conditional test.
pub fn detectable(documents: usize, discordant: f64) -> Option<f64> {
    let mut power = Power { documents, critical: vec![None; documents + 1] };
    if power.of(1.0, 1.0) < POWER {
        return None;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > 1e-6 {
        let middle = 0.5 * (low + high);
        if power.of(middle, discordant.max(middle)) < POWER { low = middle } else { high = middle }
    }
    Some(high)
}

struct Power {
    documents: usize,
    /// By the number of discordant documents, the largest count of the rarer kind at which the test finds a difference.
    critical: Vec<Option<Option<u64>>>,
}

impl Power {
    /// The probability that a difference is found.
    fn of(&mut self, difference: f64, discordant: f64) -> f64 {
        let n = self.documents as f64;
        let deviation = (n * discordant * (1.0 - discordant)).sqrt();
        // Counts that are further off have a probability below 1e-8.
        let reach = 6.0 * deviation + 1.0;
        let least = (n * discordant - reach).max(0.0) as u64;
        let most = ((n * discordant + reach) as u64).min(self.documents as u64);
        let to_winner = (0.5 * (1.0 + difference / discordant)).min(1.0);
        let (mut power, mut below) = (
            0.0,
            match least {
                0 => 0.0,
                _ => binomial_at_most(least - 1, self.documents as u64, discordant),
            },
        );
        for count in least..=most {
            let up_to = binomial_at_most(count, self.documents as u64, discordant);
            if let Some(critical) = self.critical(count) {
                let found = binomial_at_most(critical, count, 1.0 - to_winner)
                    + binomial_at_most(critical, count, to_winner);
                power += (up_to - below) * found.min(1.0);
            }
            below = up_to;
        }
        power
    }

    fn critical(&mut self, count: u64) -> Option<u64> {
        if let Some(known) = self.critical[count as usize] {
            return known;
        }
        let p = |fewer: u64| 2.0 * binomial_at_most(fewer, count, 0.5);
        let middle = count as f64 / 2.0;
        let mut fewer = (middle - Z_975 * middle.sqrt() / std::f64::consts::SQRT_2).max(0.0) as u64;
        while p(fewer) <= LEVEL && fewer < count {
            fewer += 1;
        }
        let critical = loop {
            match (p(fewer) <= LEVEL, fewer) {
                (true, _) => break Some(fewer),
                (false, 0) => break None,
                _ => fewer -= 1,
            }
        };
        self.critical[count as usize] = Some(critical);
        critical
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Random;

    #[test]
    fn p_values_are_those_of_scipy() {
        // scipy.stats.binomtest(won, won + lost).pvalue
        for (won, lost, expected) in BINOMTEST {
            let found = mcnemar(won, lost);
            assert!(
                (found - expected).abs() <= 1e-9 * expected,
                "{won}, {lost}: {found}, expected {expected}"
            );
            assert_eq!(found, mcnemar(lost, won));
        }
        assert_eq!(mcnemar(0, 0), 1.0);
    }

    /// Draws documents: how many only the first model has right, and how many only the second.
    fn draw(random: &mut Random, documents: usize, won: f64, lost: f64) -> (usize, usize) {
        let (mut first, mut second) = (0, 0);
        for _ in 0..documents {
            let number = random.unit();
            first += usize::from(number < won);
            second += usize::from(number >= won && number < won + lost);
        }
        (first, second)
    }

    #[test]
    fn a_difference_that_is_not_there_is_found_in_at_most_one_of_twenty() {
        let mut random = Random::new(1);
        for (documents, discordant) in [(100, 0.3), (1172, 0.06)] {
            let found = (0..4000).filter(|_| {
                let (won, lost) = draw(&mut random, documents, discordant / 2.0, discordant / 2.0);
                mcnemar(won, lost) <= LEVEL
            });
            let rate = found.count() as f64 / 4000.0;
            // Exact tests stay below 5 %, here by 1 to 2 points; three standard deviations are 1 point.
            assert!((0.015..0.055).contains(&rate), "{documents}: {rate}");
        }
    }

    #[test]
    fn the_detectable_difference_is_found_in_four_of_five() {
        let mut random = Random::new(2);
        for (documents, discordant) in [(200, 0.2), (1172, 0.06), (50, 0.0)] {
            let difference = detectable(documents, discordant).unwrap();
            let discordant = f64::max(discordant, difference);
            let (won, lost) = ((discordant + difference) / 2.0, (discordant - difference) / 2.0);
            let found = (0..4000).filter(|_| {
                let (won, lost) = draw(&mut random, documents, won, lost);
                mcnemar(won, lost) <= LEVEL
            });
            let rate = found.count() as f64 / 4000.0;
            assert!((rate - 0.8).abs() < 0.02, "{documents}: {difference} is found in {rate}");
        }
    }

    #[test]
    fn too_few_documents_see_nothing() {
        assert_eq!(detectable(5, 0.4), None);
        // Six of six on one side: 2 / 2^6 = 0.031.
        assert!(detectable(6, 0.0).is_some_and(|difference| difference > 0.95));
        assert!(detectable(14_042, 0.1).is_some_and(|difference| (difference - 0.0076).abs() < 0.0003));
    }

    const BINOMTEST: [(usize, usize, f64); 7] = [
        (3, 1, 0.625),
        (10, 2, 0.03857421875),
        (0, 6, 0.03125),
        (55, 80, 0.038471500325522025),
        (700, 800, 0.010559255466711506),
        (5, 5, 1.0),
        (40, 0, 1.8189894035458565e-12),
    ];
}

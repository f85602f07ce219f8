//! 95 % confidence intervals of a difference of two models over the same documents.

use super::distributions::{Z_80, Z_975, student_quantile};

/// Documents of one task of a column, right or wrong by two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RightOrWrong {
    /// Right by the first model only.
    pub won: usize,
    /// Right by the second model only.
    pub lost: usize,
    /// All documents.
    pub documents: usize,
}

/// The interval of the difference of two columns, each the unweighted mean over tasks of the share of right
/// documents.
///
/// For one task it is Tango's score interval. For several it is Tango's interval at an effective sample size:
/// the number of documents that would give the stratified variance, with documents weighted as their tasks
/// are. Below 30 discordant documents, too few to estimate a variance from, it is Kish's effective sample
/// size, which assumes that all tasks are alike.
///
/// Source: T. Tango, Statistics in Medicine 17 (1998); effective sample sizes for score intervals as E. L. Korn and
/// B. I. Graubard, Survey Methodology 24 (1998).
pub fn right_or_wrong_interval(tasks: &[RightOrWrong]) -> [f64; 2] {
    let weight = 1.0 / tasks.len() as f64;
    let (mut difference, mut discordant, mut variance, mut kish) = (0.0, 0.0, 0.0, 0.0);
    for task in tasks {
        let n = task.documents as f64;
        let (won, lost) = (task.won as f64 / n, task.lost as f64 / n);
        difference += weight * (won - lost);
        discordant += weight * (won + lost);
        kish += weight * weight / n;
        variance += weight * weight * (won + lost - (won - lost).powi(2)) / (n - 1.0);
    }
    let all: usize = tasks.iter().map(|task| task.documents).sum();
    let seen: usize = tasks.iter().map(|task| task.won + task.lost).sum();
    let of_variance = (discordant - difference * difference) / variance;
    let effective = match tasks.len() {
        1 => all as f64,
        _ if seen >= 30 && of_variance.is_finite() && of_variance > 0.0 => of_variance.min(all as f64),
        _ => 1.0 / kish,
    };
    let (won, lost) =
        (effective * (discordant + difference) / 2.0, effective * (discordant - difference) / 2.0);
    tango(won.max(0.0), lost.max(0.0), effective)
}

/// The interval of differences that a score test at 5 % does not reject.
fn tango(won: f64, lost: f64, n: f64) -> [f64; 2] {
    let score = |difference: f64| {
        // The maximum-likelihood share of lost documents under this difference.
        let b = (2.0 * n - won + lost) * difference - won - lost;
        let c = -lost * difference * (1.0 - difference);
        let share = ((b * b - 8.0 * n * c).max(0.0).sqrt() - b) / (4.0 * n);
        let variance = n * (2.0 * share + difference * (1.0 - difference));
        let deviation = won - lost - n * difference;
        if variance > 0.0 { deviation / variance.sqrt() } else { deviation * f64::INFINITY }
    };
    let found = ((won - lost) / n).clamp(-1.0, 1.0);
    let search = |end: f64, towards: f64| {
        // The score of `end` itself is infinite, unless the difference lies there.
        if found == end {
            return end;
        }
        let (mut outside, mut inside) = (end, found);
        for _ in 0..100 {
            let middle = 0.5 * (outside + inside);
            if score(middle) * towards < Z_975 { inside = middle } else { outside = middle }
        }
        inside
    };
    [search(-1.0, 1.0), search(1.0, -1.0)]
}

/// The mean of the tasks' mean differences, its standard error, and the degrees of freedom of that error;
/// `None` if a task has only one document.
///
/// Source: B. L. Welch's and F. E. Satterthwaite's degrees of freedom (Biometrika 34, 1947), over means of independent samples.
fn means(tasks: &[Vec<f64>]) -> Option<(f64, f64, f64)> {
    let weight = 1.0 / tasks.len() as f64;
    let (mut mean, mut variance, mut fourth) = (0.0, 0.0, 0.0);
    for differences in tasks {
        let n = differences.len() as f64;
        let part = weight * super::estimate::standard_error(differences)?;
        mean += weight * super::estimate::mean(differences);
        variance += part * part;
        fourth += part.powi(4) / (n - 1.0);
    }
    let freedom = if fourth > 0.0 { variance * variance / fourth } else { f64::INFINITY };
    Some((mean, variance.sqrt(), freedom))
}

/// Student's interval of a difference of two columns, each the unweighted mean over tasks of the mean over
/// documents; the whole range if a task has only one document.
pub fn mean_interval(tasks: &[Vec<f64>]) -> [f64; 2] {
    let Some((mean, error, freedom)) = means(tasks) else { return [-1.0, 1.0] };
    let reach = error * quantile(0.975, Z_975, freedom);
    [mean - reach, mean + reach]
}

/// The smallest difference of such columns that a test at 5 % finds with a power of 80 %, given the spread of
/// these documents; `None` if there is no spread to estimate from.
///
/// Source: the quantiles of level and power times the standard error, as for any test on a mean.
pub fn detectable_mean(tasks: &[Vec<f64>]) -> Option<f64> {
    let (_, error, freedom) = means(tasks)?;
    let quantiles = quantile(0.975, Z_975, freedom) + quantile(0.8, Z_80, freedom);
    Some(quantiles * error).filter(|difference| *difference > 0.0 && *difference <= 1.0)
}

fn quantile(level: f64, of_normal: f64, freedom: f64) -> f64 {
    if freedom.is_finite() { student_quantile(level, freedom) } else { of_normal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Random;

    fn assert_interval(found: [f64; 2], expected: [f64; 2]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }

    #[test]
    fn intervals_are_those_of_independent_computations() {
        // The differences at which the score, with shares fitted by scipy.optimize.minimize_scalar to the likelihood of three
        // kinds of documents, is 1.959963984540054 by scipy.optimize.brentq.
        for (won, lost, documents, expected) in TANGO {
            assert_interval(right_or_wrong_interval(&[RightOrWrong { won, lost, documents }]), expected);
        }
        // scipy.stats.ttest_1samp(d, 0).confidence_interval(0.95)
        assert_interval(mean_interval(&[TTEST.0.to_vec()]), TTEST.1);
        // scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95), which is of a difference: half of it, with -b.
        let second = WELCH.1.iter().map(|x| -x).collect();
        assert_interval(mean_interval(&[WELCH.0.to_vec(), second]), WELCH.2.map(|bound| bound / 2.0));
    }

    #[test]
    fn no_document_that_differs_leaves_an_interval_all_the_same() {
        let [low, high] = right_or_wrong_interval(&[RightOrWrong { won: 0, lost: 0, documents: 100 }]);
        // z^2 / (n + z^2)
        assert!((high - 0.036_993).abs() < 1e-6 && (low + high).abs() < 1e-9, "{low}, {high}");
        let all = right_or_wrong_interval(&[RightOrWrong { won: 4, lost: 0, documents: 4 }]);
        assert!(all[1] == 1.0 && all[0] > 0.0 && all[0] < 0.2, "{all:?}");
    }

    /// The share of `times` 95 % intervals that contain the true value.
    fn coverage(times: usize, mut holds: impl FnMut() -> bool) -> f64 {
        (0..times).filter(|_| holds()).count() as f64 / times as f64
    }

    #[test]
    fn intervals_hold_the_difference_in_nineteen_of_twenty() {
        let mut random = Random::new(3);
        let mut draw = |documents: usize, won: f64, lost: f64| {
            let mut drawn = RightOrWrong { documents, ..RightOrWrong::default() };
            for _ in 0..documents {
                let number = random.unit();
                drawn.won += usize::from(number < won);
                drawn.lost += usize::from(number >= won && number < won + lost);
            }
            drawn
        };
        for (documents, won, lost) in [(50, 0.1, 0.1), (300, 0.05, 0.02), (1172, 0.03, 0.03)] {
            let rate = coverage(2000, || {
                let [low, high] = right_or_wrong_interval(&[draw(documents, won, lost)]);
                (low..=high).contains(&(won - lost))
            });
            assert!((0.935..0.975).contains(&rate), "{documents}: {rate}");
        }
        // Tasks of unequal sizes, whose documents differ unequally often, in either direction.
        let tasks: Vec<(usize, f64, f64)> =
            (0..20).map(|i| (30 + 12 * i, 0.02 + 0.006 * i as f64, 0.09 - 0.003 * i as f64)).collect();
        let truth = tasks.iter().map(|(_, won, lost)| won - lost).sum::<f64>() / 20.0;
        let rate = coverage(1000, || {
            let drawn: Vec<RightOrWrong> = tasks.iter().map(|&(n, won, lost)| draw(n, won, lost)).collect();
            let [low, high] = right_or_wrong_interval(&drawn);
            (low..=high).contains(&truth)
        });
        assert!((0.93..0.97).contains(&rate), "of several tasks: {rate}");
    }

    #[test]
    fn intervals_of_means_hold_them_too() {
        let mut random = Random::new(4);
        // As differences of probability masses: most are small, some are large; their mean is 0.01.
        let mut draw = || 0.01 + (random.unit() - 0.5) * random.unit().powi(4);
        let rate = coverage(2000, || {
            let [low, high] = mean_interval(&[(0..200).map(|_| draw()).collect()]);
            (low..=high).contains(&0.01)
        });
        assert!((0.935..0.965).contains(&rate), "{rate}");
        let error = detectable_mean(&[vec![0.0, 0.1, 0.2, 0.1]]).unwrap();
        // (scipy.stats.t.ppf(0.975, 3) + scipy.stats.t.ppf(0.8, 3)) * scipy.stats.sem([0, 0.1, 0.2, 0.1])
        assert!((error - 0.169_868_791_241_365).abs() < 1e-12, "{error}");
        assert_eq!(detectable_mean(&[vec![0.0, 0.0]]), None);
        assert_eq!(mean_interval(&[vec![0.5]]), [-1.0, 1.0]);
    }

    const TANGO: [(usize, usize, usize, [f64; 2]); 5] = [
        (10, 4, 50, [-0.029219461587410876, 0.27036693110480653]),
        (55, 80, 1172, [-0.04112061009743747, -0.00192500665339736]),
        (0, 5, 40, [-0.26112120419166845, -0.02642569817723727]),
        (700, 800, 14042, [-0.012537667815794138, -0.0017176736576373667]),
        (30, 2, 100, [0.1861559192728189, 0.38029117276195445]),
    ];
    const TTEST: ([f64; 8], [f64; 2]) =
        ([0.1, -0.05, 0.3, 0.02, 0.0, 0.07, -0.2, 0.4], [-0.08006502688769294, 0.24006502688769293]);
    const WELCH: ([f64; 8], [f64; 5], [f64; 2]) = (
        [0.1, -0.05, 0.3, 0.02, 0.0, 0.07, -0.2, 0.4],
        [0.2, 0.1, -0.3, 0.6, 0.05],
        [-0.4441110909692851, 0.344111090969285],
    );
}

//! Two scores of which only counts are known: test and interval without documents.

use super::distributions::{Z_80, Z_975, normal_two_sided};

/// Right answers among documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub right: usize,
    pub documents: usize,
}

impl Count {
    /// The share of right ones.
    pub fn share(&self) -> f64 {
        self.right as f64 / self.documents as f64
    }

    /// Wilson's 95 % interval.
    ///
    /// Source: E. B. Wilson, JASA 22 (1927).
    fn interval(&self) -> [f64; 2] {
        let (n, p) = (self.documents as f64, self.share());
        let squared = Z_975 * Z_975;
        let middle = (p + squared / (2.0 * n)) / (1.0 + squared / n);
        let reach = Z_975 * (p * (1.0 - p) / n + squared / (4.0 * n * n)).sqrt() / (1.0 + squared / n);
        [middle - reach, middle + reach]
    }
}

/// The two-sided p-value of two shares being equal, by the score test, as if the models had answered
/// different documents. If the documents were the same, it is larger than that of a paired test.
///
/// Source: Pearson's test of two proportions, without a correction; `statsmodels.stats.proportion.proportions_ztest`.
pub fn two_shares(first: Count, second: Count) -> f64 {
    let (m, n) = (first.documents as f64, second.documents as f64);
    let pooled = (first.right + second.right) as f64 / (m + n);
    let variance = pooled * (1.0 - pooled) * (1.0 / m + 1.0 / n);
    if variance <= 0.0 { 1.0 } else { normal_two_sided((first.share() - second.share()) / variance.sqrt()) }
}

/// The 95 % interval of the difference of two shares.
///
/// Source: R. G. Newcombe, Statistics in Medicine 17 (1998), method 10: Wilson's intervals, combined.
pub fn two_shares_interval(first: Count, second: Count) -> [f64; 2] {
    let (p, q) = (first.share(), second.share());
    let ([p_low, p_high], [q_low, q_high]) = (first.interval(), second.interval());
    [p - q - (p - p_low).hypot(q_high - q), p - q + (p_high - p).hypot(q - q_low)]
}

/// The smallest difference that such a test at 5 % finds with a power of 80 %. Shares are computed with one
/// pseudo-document, half right: zero right of a few documents does not make a score certain.
pub fn two_shares_detectable(first: Count, second: Count) -> Option<f64> {
    let variance = |count: Count| {
        let documents = count.documents as f64 + 1.0;
        let share = (count.right as f64 + 0.5) / documents;
        share * (1.0 - share) / documents
    };
    let difference = (Z_975 + Z_80) * (variance(first) + variance(second)).sqrt();
    Some(difference).filter(|difference| *difference > 0.0 && *difference <= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_tested_as_by_statsmodels() {
        for (a, m, b, n, p, interval) in SHARES {
            let (first, second) = (Count { right: a, documents: m }, Count { right: b, documents: n });
            // statsmodels.stats.proportion.proportions_ztest([a, b], [m, n])[1]
            let found = two_shares(first, second);
            assert!((found - p).abs() < 1e-10 * p, "{found}, expected {p}");
            // statsmodels.stats.proportion.confint_proportions_2indep(a, m, b, n, method="newcomb")
            for (found, expected) in two_shares_interval(first, second).iter().zip(interval) {
                assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
            }
        }
        let none = Count { right: 0, documents: 9 };
        assert_eq!(two_shares(none, none), 1.0);
        let detectable = two_shares_detectable(none, none).unwrap();
        assert!((0.2..0.4).contains(&detectable), "{detectable}");
    }

    type Shares = (usize, usize, usize, usize, f64, [f64; 2]);
    const SHARES: [Shares; 5] = [
        (867, 1172, 870, 1172, 0.8875137232799315, [-0.03800040932987658, 0.032889212324860397]),
        (910, 1319, 938, 1319, 0.2339559992707415, [-0.0561089562574049, 0.013723042906399148]),
        (8946, 10042, 8932, 10042, 0.7520556107076652, [-0.007258099401229418, 0.010046807203591171]),
        (30, 50, 10, 40, 0.0008989127881140897, [0.14462007732508617, 0.5144598456773537]),
        (990, 1000, 400, 1000, 1.4039647656672352e-180, [0.5582044281440556, 0.6202705374840438]),
    ];
}

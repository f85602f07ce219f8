//! Distributions: tails and quantiles.

/// The normal distribution's 97.5 % quantile: two-sided tests at 5 %, intervals of 95 %.
pub const Z_975: f64 = 1.959_963_984_540_054;
/// The normal distribution's 80 % quantile: power.
pub const Z_80: f64 = 0.841_621_233_572_914_3;

/// Natural logarithm of the gamma function, for `x` above zero.
///
/// Source: Stirling's series, DLMF 5.11.1, after a shift to above 15 by the recurrence, DLMF 5.5.1.
pub fn ln_gamma(x: f64) -> f64 {
    const SERIES: [f64; 6] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < 15.0 {
        product *= shifted;
        shifted += 1.0;
    }
    let square = shifted * shifted;
    let (mut sum, mut power) = (0.0, shifted);
    for coefficient in SERIES {
        sum += coefficient / power;
        power *= square;
    }
    let half_ln_two_pi = 0.918_938_533_204_672_8;
    (shifted - 0.5) * shifted.ln() - shifted + half_ln_two_pi + sum - f64::ln(product)
}

/// The regularised incomplete beta function, for `a` and `b` above zero and `x` between 0 and 1.
///
/// Source: the continued fraction DLMF 8.17.22, evaluated forward by Lentz's method, where it converges fast,
/// and the symmetry DLMF 8.17.4 elsewhere.
pub fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp() / a;
    let away = |number: f64| if number.abs() < 1e-300 { 1e-300 } else { number };
    let (mut fraction, mut above, mut below) = (1.0, 1.0, 0.0);
    for step in 1..100_000 {
        let m = f64::from(step / 2);
        let term = match step % 2 {
            0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        };
        below = 1.0 / away(1.0 + term * below);
        above = away(1.0 + term / above);
        fraction *= above * below;
        if (above * below - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front / fraction
}

/// The probability of at most `count` successes in `trials` trials of probability `chance` each.
pub fn binomial_at_most(count: u64, trials: u64, chance: f64) -> f64 {
    if count >= trials {
        return 1.0;
    }
    incomplete_beta(1.0 - chance, (trials - count) as f64, count as f64 + 1.0)
}

/// The two-sided tail of the normal distribution: the probability of being further from 0 than `z`.
///
/// Source: the series DLMF 7.6.2 below 2, and the continued fraction DLMF 7.9.3 above.
pub fn normal_two_sided(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let root_pi = std::f64::consts::PI.sqrt();
    if x < 2.0 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 / root_pi * (-x * x).exp() * sum;
    }
    let mut tail = x;
    for k in (1..200).rev() {
        tail = x + f64::from(k) / 2.0 / tail;
    }
    (-x * x).exp() / (root_pi * tail)
}

/// The quantile of Student's distribution at `level`, between 0.5 and 1, for `freedom` degrees of freedom
/// (not necessarily an integer).
pub fn student_quantile(level: f64, freedom: f64) -> f64 {
    let below = |t: f64| 1.0 - 0.5 * incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5);
    let mut high = 1.0;
    while below(high) < level && high < 1e12 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if below(middle) < level { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found}, expected {expected}");
    }

    #[test]
    fn distributions_are_those_of_scipy() {
        // scipy.special.gammaln([0.5, 4, 14043.5])
        for (x, expected) in GAMMALN {
            close(ln_gamma(x), expected);
        }
        // scipy.special.betainc(a, b, x)
        for (a, b, x, expected) in BETAINC {
            let found = incomplete_beta(x, a, b);
            assert!((found - expected).abs() <= 1e-9 * expected, "{found}, expected {expected}");
        }
        // scipy.stats.binom.cdf(count, trials, chance)
        for (count, trials, chance, expected) in BINOM {
            let found = binomial_at_most(count, trials, chance);
            assert!((found - expected).abs() <= 1e-9 * expected, "{found}, expected {expected}");
        }
        // 2 * scipy.stats.norm.sf(z)
        for (z, expected) in NORM {
            close(normal_two_sided(z), expected);
        }
        // scipy.stats.t.ppf(level, freedom)
        for (level, freedom, expected) in STUDENT {
            close(student_quantile(level, freedom), expected);
        }
        // scipy.stats.norm.ppf([0.975, 0.8])
        close(Z_975, 1.959963984540054);
        close(Z_80, 0.8416212335729143);
    }

    const GAMMALN: [(f64, f64); 3] =
        [(0.5, 0.5723649429247), (4.0, 1.791759469228055), (14043.5, 120066.87436630928)];
    const BETAINC: [(f64, f64, f64, f64); 6] = [
        (2.0, 3.0, 0.4, 0.5247999999999999),
        (700.5, 0.5, 0.99, 0.00017561644007881588),
        (5000.0, 5100.0, 0.49, 0.15505519246383542),
        (0.5, 0.5, 0.2, 0.2951672353008665),
        (12.0, 1.0, 0.5, 0.000244140625),
        (30.0, 900.0, 0.05, 0.9965620863071718),
    ];
    const BINOM: [(u64, u64, f64, f64); 5] = [
        (3, 10, 0.5, 0.171875),
        (650, 1404, 0.5, 0.002980323877125483),
        (6900, 14042, 0.5, 0.020985315682068482),
        (0, 8, 0.1, 0.43046721),
        (40, 100, 0.55, 0.0018201782006504153),
    ];
    const NORM: [(f64, f64); 6] = [
        (0.1, 0.920344325445942),
        (1.0, 0.31731050786291415),
        (1.96, 0.04999579029644087),
        (4.0, 6.334248366623973e-05),
        (4.5, 6.795346249460107e-06),
        (9.0, 2.2571768119076647e-19),
    ];
    const STUDENT: [(f64, f64, f64); 6] = [
        (0.975, 1.0, 12.706204736174694),
        (0.975, 9.0, 2.262157162798205),
        (0.975, 816.0, 1.962875423285213),
        (0.8, 816.0, 0.8420619466754592),
        (0.975, 31.7, 2.0376896343317954),
        (0.8, 2.0, 1.0606601717798214),
    ];
}

//! A permutation test: whether the differences of documents are further from zero than chance alone explains.

use rayon::prelude::*;

use super::random::Random;

/// Number of sign assignments drawn, if not all can be tried.
const DRAWS: u64 = 99_999;
/// Maximum number of differences for which all sign assignments (2^16) are tried.
const TRIED: usize = 16;
/// Draws of one generator.
const PART: u64 = 1_000;

/// The two-sided p-value of the sign-flip test: the probability of a weighted sum at least as far from zero,
/// if each difference were as likely to have the other sign, as it is if both models are alike. It is `(1 +
/// b) / (1 + B)` for B draws; for few differences all sign assignments are tried, and the value is exact.
///
/// Source: R. A. Fisher, The Design of Experiments (1935), 21; the count of one for the observed value, B.
/// Phipson and G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010).
pub fn sign_flips(differences: &[f64], seed: u64) -> f64 {
    let differences: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    let found = differences.iter().sum::<f64>().abs();
    // Sums of equal size may differ in their last bits.
    let least = found - 1e-12 * differences.iter().map(|difference| difference.abs()).sum::<f64>();
    if differences.len() <= TRIED {
        let all = 1u64 << differences.len();
        let far = (0..all).filter(|signs| flipped(&differences, |_| *signs).abs() >= least).count();
        return far as f64 / all as f64;
    }
    let far: u64 = (0..DRAWS.div_ceil(PART))
        .into_par_iter()
        .map(|part| {
            let mut random = Random::of_part(seed, part);
            let draws = PART.min(DRAWS - part * PART);
            (0..draws).filter(|_| flipped(&differences, |_| random.bits()).abs() >= least).count() as u64
        })
        .sum();
    (1 + far) as f64 / (1 + DRAWS) as f64
}

/// The sum with signs flipped; `signs` gives 64 of them at a time.
fn flipped(differences: &[f64], mut signs: impl FnMut(usize) -> u64) -> f64 {
    let mut sum = 0.0;
    for (place, block) in differences.chunks(64).enumerate() {
        let signs = signs(place);
        for (at, difference) in block.iter().enumerate() {
            sum += f64::from_bits(difference.to_bits() ^ ((signs >> at) << 63));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_those_of_scipy() {
        // scipy.stats.permutation_test((d,), numpy.sum, permutation_type="samples", n_resamples=numpy.inf).pvalue
        for (differences, expected) in [(&FEW_A[..], FEW_P[0]), (&FEW_B[..], FEW_P[1])] {
            assert!((sign_flips(differences, 0) - expected).abs() < 1e-12);
        }
        // The same with n_resamples=2_000_000, rng=1, for differences sin(i) / 7 + 0.01: a draw of 99,999 is within four of its own
        // standard deviations.
        let many: Vec<f64> = (0..120).map(|i| f64::from(i).sin() / 7.0 + 0.01).collect();
        let p = sign_flips(&many, 1);
        assert!((p - MANY_P).abs() < 4.0 * (MANY_P * (1.0 - MANY_P) / 1e5).sqrt(), "{p}, expected {MANY_P}");
        assert_eq!(sign_flips(&[0.0; 30], 1), 1.0);
        assert_eq!(sign_flips(&[], 1), 1.0);
    }

    #[test]
    fn threads_change_nothing() {
        let many: Vec<f64> = (0..120).map(|i| f64::from(i).cos()).collect();
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sign_flips(&many, 5))
        };
        assert_eq!(with(1), with(3));
        assert_ne!(with(1), sign_flips(&many, 6));
    }

    #[test]
    fn a_difference_that_is_not_there_is_found_in_one_of_twenty() {
        let mut random = Random::new(8);
        let found = (0..2000).filter(|_| {
            let drawn: Vec<f64> = (0..12).map(|_| (random.unit() - 0.5) * random.unit().powi(3)).collect();
            sign_flips(&drawn, 1) <= 0.05
        });
        let rate = found.count() as f64 / 2000.0;
        assert!((0.035..0.065).contains(&rate), "{rate}");
    }

    const FEW_A: [f64; 8] = [0.1, -0.05, 0.3, 0.02, 0.0, 0.07, -0.2, 0.4];
    const FEW_B: [f64; 10] = [0.3, 0.2, 0.5, -0.1, 0.25, 0.4, 0.31, 0.22, -0.15, 0.6];
    const FEW_P: [f64; 2] = [0.296875, 0.013671875];
    const MANY_P: f64 = 0.28738685630657185;
}

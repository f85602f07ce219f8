//! Means and their standard errors.

use crate::vocabulary::Estimate;

/// Arithmetic mean; NaN if there are no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the mean: sample standard deviation (over n - 1) divided by the square root of n. `None`
/// below two values.
///
/// As lm-evaluation-harness's `mean_stderr`.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = mean(values);
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (n - 1.0)).sqrt() / n.sqrt())
}

/// The mean of `values` with its standard error.
pub fn estimate(values: &[f64]) -> Estimate {
    Estimate { value: mean(values), stderr: standard_error(values), n: values.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_no_error() {
        assert_eq!(estimate(&[1.0]), Estimate { value: 1.0, stderr: None, n: 1 });
        // scipy.stats.sem([1, 0, 0, 1])
        assert!((standard_error(&[1.0, 0.0, 0.0, 1.0]).unwrap() - 0.288_675_134_594_812_9).abs() < 1e-15);
    }
}

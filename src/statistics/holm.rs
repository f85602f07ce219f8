//! Correction for several tests at once.

/// Holm's adjusted p-values: with them, the probability of any false positive over all tests together is at
/// most the level.
///
/// Source: S. Holm, Scandinavian Journal of Statistics 6 (1979).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, place) in order.into_iter().enumerate() {
        largest = largest.max(((p.len() - rank) as f64 * p[place]).min(1.0));
        adjusted[place] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_those_of_statsmodels() {
        // statsmodels.stats.multitest.multipletests([0.01, 0.04, 0.03, 0.005, 0.5, 0.04], method="holm")[1]
        let found = holm(&[0.01, 0.04, 0.03, 0.005, 0.5, 0.04]);
        for (found, expected) in found.iter().zip(HOLM) {
            assert!((found - expected).abs() < 1e-15, "{found}, expected {expected}");
        }
        assert!(holm(&[]).is_empty());
    }

    const HOLM: [f64; 6] = [0.05, 0.12, 0.12, 0.03, 0.5, 0.12];
}

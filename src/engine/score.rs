//! From logits to log-probabilities.

/// What log-softmax needs of a row, computed once for all targets that are read off it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogSoftmax {
    /// The largest logit's token, the first among equals, as `torch.argmax` on a CPU.
    pub argmax: u32,
    /// The largest logit.
    pub max: f32,
    /// Logarithm of the sum of `exp(logit - max)`.
    pub log_sum: f32,
}

impl LogSoftmax {
    /// Log-probability of a token with this logit, in nats.
    pub fn log_probability(&self, logit: f32) -> f32 {
        (logit - self.max) - self.log_sum
    }
}

/// `log_softmax` in single precision over one row, as `torch.nn.functional.log_softmax(logits.float())`; the sum runs in double
/// precision, so that its order does not matter.
pub fn log_softmax(logits: &[f32]) -> LogSoftmax {
    let (mut argmax, mut max) = (0, f32::NEG_INFINITY);
    for (i, &logit) in logits.iter().enumerate() {
        if logit > max {
            (argmax, max) = (i as u32, logit);
        }
    }
    let sum: f64 = logits.iter().map(|&logit| f64::from((logit - max).exp())).sum();
    LogSoftmax { argmax, max, log_sum: sum.ln() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_ties_go_to_the_first() {
        let logits = [1.0, 3.0, -2.0, 3.0];
        let row = log_softmax(&logits);
        assert_eq!(row.argmax, 1);
        let total: f32 = logits.iter().map(|&l| row.log_probability(l).exp()).sum();
        assert!((total - 1.0).abs() < 1e-6);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let row = log_softmax(&[1e30, 0.0]);
        assert_eq!(row.log_probability(1e30), 0.0);
    }
}

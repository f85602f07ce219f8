//! From logits to log-probabilities.

use super::rounding::{half_ulp, is_near_tie};
use crate::model::Dtype;

/// The log-softmax terms of a row, computed once for all targets that are read off it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogSoftmax {
    /// The token of the largest logit, the first among equals, as `torch.argmax` on a CPU.
    pub argmax: u32,
    /// The largest logit.
    pub max: f32,
    /// The largest logit of the other tokens; minus infinity where there are none.
    pub runner_up: f32,
    /// Logarithm of the sum of `exp(logit - max)`.
    pub log_sum: f32,
}

impl LogSoftmax {
    /// Log-probability of a token with this logit, in nats.
    pub fn log_probability(&self, logit: f32) -> f32 {
        (logit - self.max) - self.log_sum
    }

    /// Whether another token could have had the largest logit before the logits were rounded to `dtype`.
    pub fn is_near_tie(&self, dtype: Dtype) -> bool {
        is_near_tie(self.max, self.runner_up, dtype)
    }

    /// The score of `target`, whose logit in this row, rounded to `dtype`, is `logit`.
    pub fn score(&self, target: u32, logit: f32, dtype: Dtype) -> Score {
        let is_greedy = self.argmax == target;
        Score {
            log_probability: self.log_probability(logit),
            rounding: half_ulp(logit, dtype),
            is_greedy,
            is_near_tie: if is_greedy {
                self.is_near_tie(dtype)
            } else {
                is_near_tie(self.max, logit, dtype)
            },
        }
    }
}

/// A target's score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// In nats.
    pub log_probability: f32,
    /// Estimated error of `log_probability` from rounding to the model's number format, in nats: half a unit
    /// in the last place of the target's own logit.
    ///
    /// The normaliser's error is left out. At the first token all choices of one context share it, so it
    /// changes no decision. Elsewhere it is the probability-weighted mean of all logits' rounding errors,
    /// whose signs differ. Where one token has nearly all the probability they do not cancel, and the
    /// normaliser's error is about that of that token's logit: the estimate is not a bound.
    pub rounding: f64,
    /// Whether the target is the argmax.
    pub is_greedy: bool,
    /// Whether the target and the likeliest other token are closer than their rounding errors.
    pub is_near_tie: bool,
}

/// The token of the largest logit (the first among equals), that logit, and the largest of the others.
pub fn first_two(logits: &[f32]) -> (u32, f32, f32) {
    let (mut argmax, mut max, mut runner_up) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (i, &logit) in logits.iter().enumerate() {
        if logit > max {
            (argmax, max, runner_up) = (i as u32, logit, max);
        } else if logit > runner_up {
            runner_up = logit;
        }
    }
    (argmax, max, runner_up)
}

/// `log_softmax` in single precision over one row, as `torch.nn.functional.log_softmax(logits.float())`; the
/// sum is in double precision, so that its order does not matter.
pub fn log_softmax(logits: &[f32]) -> LogSoftmax {
    let (argmax, max, runner_up) = first_two(logits);
    let sum: f64 = logits.iter().map(|&logit| f64::from((logit - max).exp())).sum();
    LogSoftmax { argmax, max, runner_up, log_sum: sum.ln() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_ties_go_to_the_first() {
        let logits = [1.0, 3.0, -2.0, 3.0];
        let row = log_softmax(&logits);
        assert_eq!((row.argmax, row.runner_up), (1, 3.0));
        let total: f32 = logits.iter().map(|&l| row.log_probability(l).exp()).sum();
        assert!((total - 1.0).abs() < 1e-6);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let row = log_softmax(&[1e30, 0.0]);
        assert_eq!(row.log_probability(1e30), 0.0);
    }

    #[test]
    fn the_runner_up_is_the_second_wherever_it_stands() {
        for logits in [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [2.0, 3.0, 1.0], [1.0, 3.0, 2.0]] {
            assert_eq!(log_softmax(&logits).runner_up, 2.0, "{logits:?}");
        }
        assert_eq!(log_softmax(&[1.0]).runner_up, f32::NEG_INFINITY);
    }

    #[test]
    fn equal_logits_in_bfloat16_are_near_ties_for_the_first_choice_and_for_the_other() {
        // 20.01 and 20.04 are both 20 in bfloat16.
        let logits = [20.01f32, 20.04, 3.0].map(|logit| half::bf16::from_f32(logit).to_f32());
        let row = log_softmax(&logits);
        assert!(row.is_near_tie(Dtype::Bf16));
        let scores: Vec<Score> =
            (0..3).map(|target| row.score(target, logits[target as usize], Dtype::Bf16)).collect();
        assert_eq!(scores.iter().map(|s| s.is_greedy).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(scores.iter().map(|s| s.is_near_tie).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(scores[0].rounding, 0.0625);
    }
}

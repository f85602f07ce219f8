//! Metrics over the loglikelihood of one target.

use super::value::Value;
use crate::vocabulary::Decision;

/// The score of a document's target.
pub struct TargetScore {
    pub loglikelihood: f64,
    /// Whether greedy decoding would generate it.
    pub is_greedy: bool,
    /// Whether rounding may have changed `is_greedy`.
    pub greedy_near_tie: bool,
}

/// 1 if greedy decoding would generate the target.
pub fn is_greedy(score: &TargetScore) -> Value {
    let decision = Decision { margin: None, near_tie: score.greedy_near_tie };
    (f64::from(u8::from(score.is_greedy)), Some(decision))
}

/// What greedy decoding would generate.
pub fn greedy_answer(score: &TargetScore) -> &'static str {
    if score.is_greedy { "the target" } else { "another text" }
}

/// The loglikelihood itself.
pub fn loglikelihood(score: &TargetScore) -> Value {
    (score.loglikelihood, None)
}

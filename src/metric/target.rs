//! Metrics over the loglikelihood of one target.

use super::value::Value;
use crate::vocabulary::Decision;

/// The score of a document's target.
pub struct TargetScore {
    /// Its loglikelihood.
    pub loglikelihood: f64,
    /// Whether it is what the model would have written.
    pub is_greedy: bool,
    /// Whether rounding could have made `is_greedy` otherwise.
    pub greedy_near_tie: bool,
}

/// 1 if the model would have written the target.
pub fn is_greedy(score: &TargetScore) -> Value {
    let decision = Decision { margin: None, near_tie: score.greedy_near_tie };
    (f64::from(u8::from(score.is_greedy)), Some(decision))
}

/// What the model would have written.
pub fn greedy_answer(score: &TargetScore) -> &'static str {
    if score.is_greedy { "the target" } else { "another text" }
}

/// The loglikelihood itself.
pub fn loglikelihood(score: &TargetScore) -> Value {
    (score.loglikelihood, None)
}

//! What a model answers.

use serde::{Deserialize, Serialize};

/// The answer to one [`Request`](super::request::Request).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Response {
    /// Answer to a loglikelihood request.
    Loglikelihood {
        /// Sum over the continuation's tokens of their natural log-probabilities, in nats.
        loglikelihood: f64,
        /// Whether every token of the continuation was the model's first choice.
        is_greedy: bool,
        /// Number of tokens of the continuation.
        num_tokens: usize,
        /// Estimated error of `loglikelihood` from rounding to the model's number format, in nats: the sum of
        /// half a unit in the last place of each token's own logit. The rounding of the other logits, in the
        /// normaliser, is left out.
        #[serde(default)]
        rounding: f64,
        /// Whether a token on which `is_greedy` depends is closer to the likeliest other one than their
        /// rounding errors.
        #[serde(default)]
        greedy_near_tie: bool,
    },
    /// Answer to a generation request.
    Generation {
        /// The text, cut before the first stop string.
        text: String,
        /// Number of generated tokens, including those of a stop string.
        num_tokens: usize,
        /// Those of them that could have been others before the logits were rounded to the model's number
        /// format.
        #[serde(default)]
        near_ties: usize,
        /// The same text continued past its stops, if the request wants that; the fields above are as if it
        /// had not been.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beyond: Option<Written>,
    },
}

/// A generated text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Cut before the first stop string.
    pub text: String,
    /// Number of generated tokens, including those of a stop string.
    pub num_tokens: usize,
    /// See [`Response::Generation`].
    pub near_ties: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_runs_that_knew_no_near_ties_are_read() {
        let old = r#"[{"loglikelihood":-1.5,"is_greedy":true,"num_tokens":2},{"text":"4","num_tokens":1}]"#;
        let responses: Vec<Response> = serde_json::from_str(old).unwrap();
        let Response::Loglikelihood { rounding, greedy_near_tie, .. } = &responses[0] else { panic!() };
        assert_eq!((*rounding, *greedy_near_tie), (0.0, false));
        assert!(matches!(responses[1], Response::Generation { near_ties: 0, .. }));
    }
}

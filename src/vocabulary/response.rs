//! What a model answers.

use serde::{Deserialize, Serialize};

/// The answer to one [`Request`](super::Request).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Response {
    /// Answer to a loglikelihood request.
    Loglikelihood {
        /// Sum over the continuation's tokens of their natural log-probabilities, in nats.
        loglikelihood: f64,
        /// Whether every token of the continuation was the model's first choice.
        is_greedy: bool,
        /// Tokens of the continuation.
        num_tokens: usize,
    },
    /// Answer to a generation request.
    Generation {
        /// The text, cut before the first stop string.
        text: String,
        /// Tokens that the model wrote, a stop string's among them.
        num_tokens: usize,
    },
}

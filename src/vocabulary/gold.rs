//! What is right.

use serde::{Deserialize, Serialize};

/// What a task holds to be the right answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Gold {
    /// The position of the right choice.
    Index(usize),
    /// For each choice whether it is right (1) or not (0); or the positions of several right choices.
    Labels(Vec<i64>),
    /// The right text.
    Answer(String),
    /// Several texts, each of them right.
    Answers(Vec<String>),
}

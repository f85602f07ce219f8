//! Gold answers.

use serde::{Deserialize, Serialize};

/// The label that lm-evaluation-harness gives to a choice that is out of range: it names none.
pub const NO_CHOICE: i64 = -100;

/// What a task declares to be right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Gold {
    /// The index of the right choice.
    Index(usize),
    /// A label below 0, by which datasets hide theirs: no choice is right. -1 still names the last choice where Python would index by
    /// it, -100 none.
    NoChoice(i64),
    /// For each choice whether it is right (1) or not (0); or the indices of several right choices.
    Labels(Vec<i64>),
    /// The right text.
    Answer(String),
    /// Several texts, each of them right.
    Answers(Vec<String>),
}

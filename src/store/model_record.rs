//! A model as a run's record has it.

use crate::engine::EngineIdentity;
use crate::vocabulary::Fingerprint;

/// The model of a run, as its record shows it.
#[derive(Debug, Clone)]
pub struct ModelRecord {
    /// Who answers.
    pub engine: EngineIdentity,
    /// Positions.
    pub max_length: usize,
    /// Tokenizer file with its hash.
    pub tokenizer: (String, Fingerprint),
    /// Whether it is the built-in sample.
    pub sample: bool,
}

//! A model as a run records it.

use crate::engine::EngineIdentity;
use crate::vocabulary::Fingerprint;

/// The model of a run, as recorded.
#[derive(Debug, Clone)]
pub struct ModelRecord {
    /// The engine that computes the answers.
    pub engine: EngineIdentity,
    /// Context length in positions.
    pub max_length: usize,
    /// Tokenizer file with its hash.
    pub tokenizer: (String, Fingerprint),
    /// Why that may not be the model's tokenizer; it was allowed to differ.
    pub tokenizer_faults: Vec<String>,
    /// Whether it is the built-in sample.
    pub sample: bool,
}

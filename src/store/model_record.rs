//! A model as a run's record has it.

use crate::vocabulary::Fingerprint;

/// The model of a run, as its record shows it.
#[derive(Debug, Clone)]
pub struct ModelRecord {
    /// Its name.
    pub name: String,
    /// Where it was loaded from.
    pub path: String,
    /// Its architecture.
    pub architecture: String,
    /// Weights.
    pub parameters: u64,
    /// Number format computed in.
    pub dtype: String,
    /// Device computed on.
    pub device: String,
    /// What computed: the instructions of our own kernels, or `plain`.
    pub kernels: &'static str,
    /// Positions.
    pub max_length: usize,
    /// Weight files with their hashes, in the order in which they are read.
    pub weights: Vec<(String, Fingerprint)>,
    /// Hash over the configuration as it was understood.
    pub config: Fingerprint,
    /// Tokenizer file with its hash.
    pub tokenizer: (String, Fingerprint),
    /// Tokens that end a text: the model's own and the tokenizer's.
    pub end_of_text: Vec<u32>,
    /// Whether it is the built-in sample.
    pub sample: bool,
}

//! Who answers requests, and by what arithmetic. What an engine cannot know of itself is none.

use std::sync::LazyLock;

use crate::vocabulary::Fingerprint;

/// What computes answers from tokens: a hash over the code and what it is built on, and one over what the system's own functions
/// give for a few numbers, since those of two systems may differ in a last bit.
pub static CODE: LazyLock<String> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    for step in 1..=64 {
        let x = f64::from(step) * 0.37;
        let single = x as f32;
        bytes.extend([10_000f64.powf(-x / 24.0), x.ln(), (-x).exp(), x.cos(), x.sin()].map(f64::to_bits));
        let singles =
            [10_000f32.powf(-single / 24.0), single.ln(), (-single).exp(), single.cos(), single.sin()];
        bytes.extend(singles.map(|number| u64::from(number.to_bits())));
    }
    let bytes: Vec<u8> = bytes.into_iter().flat_map(u64::to_le_bytes).collect();
    format!("{}-{:.8}", env!("ASSAY_NUMERICS"), Fingerprint::of(&bytes).to_string())
});

/// A model behind an engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineIdentity {
    /// Its name.
    pub name: String,
    /// Where it is from: a path, or an address.
    pub location: String,
    /// Its class in transformers.
    pub architecture: Option<String>,
    /// Numbers in its weights.
    pub parameters: Option<u64>,
    /// Weight files with their hashes, in the order in which they are read.
    pub weights: Option<Vec<(String, Fingerprint)>>,
    /// Hash over the configuration as it was understood.
    pub config: Option<Fingerprint>,
    /// Tokens that end a generated text.
    pub end_of_text: Vec<u32>,
    /// What its answers are computed with.
    pub numerics: Numerics,
}

/// What answers are computed with: where two engines agree in all of it, and in their weights, they give the same bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numerics {
    /// Number format.
    pub dtype: Option<String>,
    /// Device.
    pub device: Option<String>,
    /// Kernels: the instructions of our own, or `plain`.
    pub kernels: Option<String>,
    /// The code, see [`CODE`]; none for an engine that is not ours.
    pub code: Option<String>,
}

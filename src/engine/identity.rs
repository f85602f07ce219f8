//! The model behind an engine, and its arithmetic. What an engine cannot know of itself is `None`.

use std::sync::LazyLock;

use crate::vocabulary::Fingerprint;

/// Identifies the code that computes answers from tokens: a hash of the source and what it is built on, and a
/// hash of what the system's math functions return for sample arguments, since two systems may differ in the
/// last bit.
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
    pub name: String,
    /// A path, or an address.
    pub location: String,
    /// Class name in transformers.
    pub architecture: Option<String>,
    /// Number of parameters.
    pub parameters: Option<u64>,
    /// Weight files with their hashes, in reading order.
    pub weights: Option<Vec<(String, Fingerprint)>>,
    /// Hash of the parsed configuration.
    pub config: Option<Fingerprint>,
    /// Tokens that end a generation.
    pub end_of_text: Vec<u32>,
    pub numerics: Numerics,
}

/// What determines the bits of an answer besides the weights: two engines that agree in all fields and in
/// their weights give the same bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numerics {
    pub dtype: Option<String>,
    pub device: Option<String>,
    /// `plain` for candle's operations, `flash-attn` for these with FlashAttention, or the instruction set of
    /// our own kernels.
    pub kernels: Option<String>,
    /// See [`CODE`]; `None` for an engine that is not ours.
    pub code: Option<String>,
}

//! Configuration of a decoder, whichever file it comes from.

use std::path::Path;

use super::architecture::Architecture;
use super::error::ConfigError;
use crate::kernels::dtype::Dtype;

/// How rotary frequencies differ from `theta^(-2i/head_dim)`.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    None,
    /// Llama 3.1: low frequencies are divided by `factor`, high ones unchanged, those between interpolated.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original_max_positions / low_freq_factor` are scaled in full.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions / high_freq_factor` are unchanged.
        high_freq_factor: f64,
        /// Context length before the scaling.
        original_max_positions: f64,
    },
}

/// Rotary position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    pub scaling: RopeScaling,
}

/// Everything the forward pass and the shapes of the weights depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    pub architecture: &'static Architecture,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; a divisor of `heads`.
    pub kv_heads: usize,
    /// Width of a head; even, since rotary embedding rotates pairs.
    pub head_dim: usize,
    /// Rows of the embedding; token ids are less than this.
    pub vocab_size: usize,
    /// Maximum number of positions.
    pub max_positions: usize,
    /// Epsilon of every RMS norm.
    pub rms_norm_eps: f64,
    pub rope: Rope,
    /// Window of each layer: query `i` attends to key `j` if `i - j < window`. `None`: to all earlier keys.
    pub windows: Vec<Option<usize>>,
    /// Biases on q, k and v.
    pub qkv_bias: bool,
    /// Bias on the attention's output projection.
    pub output_bias: bool,
    /// Biases in the MLP.
    pub mlp_bias: bool,
    /// Whether the output matrix is the embedding matrix.
    pub tied_embeddings: bool,
    /// End-of-sequence tokens.
    pub eos_token_ids: Vec<u32>,
    /// Dtype that the configuration names, if any.
    pub dtype: Option<Dtype>,
}

/// Sizes above these come from a damaged or hostile file, not from a model.
const MAX_WIDTH: usize = 1 << 20;
const MAX_LAYERS: usize = 1 << 12;
const MAX_VOCABULARY: usize = 1 << 24;
const MAX_POSITIONS: usize = 1 << 28;

impl ModelConfig {
    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Bytes of keys and values per token, in all layers.
    pub fn kv_bytes_per_token(&self, dtype: Dtype) -> u64 {
        (self.layers * 2 * self.kv_width()) as u64 * dtype.size() as u64
    }

    /// Number of weights, as a loaded model counts them: a tied output matrix counts once.
    pub fn parameters(&self) -> u64 {
        let (hidden, inner) = (self.hidden_size as u64, self.intermediate_size as u64);
        let (query, kv) = (self.query_width() as u64, self.kv_width() as u64);
        let biases = [
            (self.qkv_bias, query + 2 * kv),
            (self.output_bias, hidden),
            (self.mlp_bias, 2 * inner + hidden),
        ];
        let biases: u64 = biases.iter().filter(|(has, _)| *has).map(|(_, count)| count).sum();
        let attention = hidden * (query + 2 * kv) + query * hidden;
        let layer = attention + 3 * hidden * inner + 2 * hidden + biases;
        let tables = if self.tied_embeddings { 1 } else { 2 };
        tables * self.vocab_size as u64 * hidden + self.layers as u64 * layer + hidden
    }

    /// Width of all key (or value) heads together.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Rejects sizes that no model has; errors name the keys by `names`.
    pub fn check_sizes(&self, path: &Path, names: &SizeNames) -> Result<(), ConfigError> {
        let wrong = |key: &str, found: String, expected: String| {
            Err(ConfigError::Value { path: path.to_owned(), key: key.to_owned(), found, expected })
        };
        let sizes = [
            (&names.hidden_size, self.hidden_size, MAX_WIDTH),
            (&names.intermediate_size, self.intermediate_size, MAX_WIDTH),
            (&names.layers, self.layers, MAX_LAYERS),
            (&names.heads, self.heads, MAX_WIDTH),
            (&names.kv_heads, self.kv_heads, MAX_WIDTH),
            (&names.head_dim, self.head_dim, MAX_WIDTH),
            (&names.vocab_size, self.vocab_size, MAX_VOCABULARY),
            (&names.max_positions, self.max_positions, MAX_POSITIONS),
        ];
        for (key, found, most) in sizes {
            if found == 0 || found > most {
                return wrong(key, found.to_string(), format!("1 to {most}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return wrong(
                &names.kv_heads,
                self.kv_heads.to_string(),
                format!("a divisor of the {} query heads", self.heads),
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            return wrong(&names.head_dim, self.head_dim.to_string(), "an even number".to_owned());
        }
        if self.query_width() > MAX_WIDTH {
            return wrong(&names.heads, self.heads.to_string(), format!("at most {MAX_WIDTH} / head width"));
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return wrong(
                &names.rms_norm_eps,
                self.rms_norm_eps.to_string(),
                "a number between 0 and 1".to_owned(),
            );
        }
        if !(self.rope.theta.is_finite() && self.rope.theta > 1.0) {
            return wrong(&names.rope_theta, self.rope.theta.to_string(), "a number above 1".to_owned());
        }
        Ok(())
    }
}

/// The names of the sizes in a file, for messages.
pub struct SizeNames {
    pub hidden_size: String,
    pub intermediate_size: String,
    pub layers: String,
    pub heads: String,
    pub kv_heads: String,
    pub head_dim: String,
    pub vocab_size: String,
    pub max_positions: String,
    pub rms_norm_eps: String,
    pub rope_theta: String,
}

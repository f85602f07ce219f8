//! What a model takes, known before its weights are read.

use super::error::LoadError;
use super::model_files::ModelFiles;
use super::options::{Kernels, LoadOptions};
use super::pass::ForwardError;
use super::plain::device::OpenedDevice;
use super::plain::measure::product_rate as plain_rate;
use crate::kernels::dtype::Dtype;
use crate::kernels::isa::Isa;
use crate::kernels::measure::product_rate;

/// What a model takes on a device.
pub struct ModelNeeds {
    /// The class in transformers.
    pub architecture: &'static str,
    /// Number of weights; a tied output matrix counts once.
    pub parameters: u64,
    pub dtype: Dtype,
    /// `cpu`, or `cuda:` and the index.
    pub device: String,
    /// Name of the kernels; `None` where loading decides.
    pub kernels: Option<&'static str>,
    /// Maximum number of positions.
    pub max_length: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Whether the model's files name a token that ends a text.
    pub names_end_of_text: bool,
    /// Bytes of the loaded weights.
    pub weight_bytes: u64,
    /// Bytes of keys and values per token, in all layers.
    pub kv_bytes_per_token: u64,
    /// Width of the residual stream, and inside the MLP.
    widths: (usize, usize),
    /// Single-precision numbers of a row of a pass at its widest, on the CPU.
    row_numbers: usize,
    opened: OpenedDevice,
}

/// Rows of the products that are timed: like those of large passes.
const ROWS: usize = 512;
/// Most bytes of the matrix of these products, and of their results. Weights are read from memory then, as in a pass, and measuring takes
/// little of it.
const MATRIX: usize = 64 << 20;
/// Repetitions, of which the best counts.
const TRIES: usize = 2;

impl ModelNeeds {
    /// What a model takes, by its configuration.
    ///
    /// # Errors
    /// The device can't be used, or nothing says in which dtype the model is computed.
    pub fn of(files: &ModelFiles, options: LoadOptions) -> Result<Self, LoadError> {
        let opened = OpenedDevice::open(options.device)?;
        let dtype = files.dtype(options.dtype)?;
        let config = files.config();
        let own = opened.is_cpu() && options.kernels == Kernels::Fast;
        let parameters = config.parameters();
        let qkv = config.query_width() + 2 * config.kv_width();
        let row = 2 * config.hidden_size
            + qkv
            + config.query_width()
            + config.intermediate_size
            + config.vocab_size;
        Ok(Self {
            architecture: config.architecture.class,
            parameters,
            dtype,
            device: opened.name.clone(),
            kernels: own.then(|| Isa::best().name(dtype)),
            max_length: config.max_positions,
            vocab_size: config.vocab_size,
            names_end_of_text: !config.eos_token_ids.is_empty(),
            weight_bytes: parameters * dtype.size() as u64,
            kv_bytes_per_token: config.kv_bytes_per_token(dtype),
            widths: (config.hidden_size, config.intermediate_size),
            row_numbers: row,
            opened,
        })
    }

    /// Whether it is computed on the CPU, in the machine's own memory.
    pub fn is_on_cpu(&self) -> bool {
        self.opened.is_cpu()
    }

    /// Scratch memory of passes of at most `rows` rows, in bytes.
    pub fn pass_bytes(&self, rows: usize) -> u64 {
        (rows * self.row_numbers * size_of::<f32>()) as u64
    }

    /// Estimates the seconds per token in large passes: times a product of the MLP's width on the device, with made-up weights, and
    /// counts two operations for a weight and a token. Attention over long contexts comes on top.
    ///
    /// # Errors
    /// Those of the device.
    pub fn seconds_per_token(&self) -> Result<f64, ForwardError> {
        let (inputs, inner) = self.widths;
        let of_weights = MATRIX / (inputs * self.dtype.size()).max(1);
        let of_results = MATRIX / (ROWS * size_of::<f32>());
        let outputs = (2 * inner).min(of_weights).min(of_results).max(1);
        let rate = if self.kernels.is_some() {
            product_rate(self.dtype, ROWS, inputs, outputs, TRIES)?
        } else {
            plain_rate(&self.opened, self.dtype, ROWS, inputs, outputs, TRIES + 1)?
        };
        Ok(2.0 * self.parameters as f64 / rate.max(1.0))
    }
}

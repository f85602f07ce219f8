//! Rotary position embedding: the frequencies, and their cosines and sines for the positions of a pass.

use super::config::model_config::{Rope, RopeScaling};
use crate::kernels::dtype::Dtype;

/// Rotary frequencies of a model.
pub struct Rotary {
    /// `head_dim / 2` angles per position step.
    frequencies: Vec<f32>,
}

impl Rotary {
    /// Frequencies from the configuration; `divisors` are those of a GGUF file.
    ///
    /// Base frequencies are `theta^(-2i / head_dim)` (RoFormer, <https://arxiv.org/abs/2104.09864>).
    pub fn new(rope: &Rope, head_dim: usize, divisors: Option<&[f32]>) -> Self {
        let mut frequencies: Vec<f32> = (0..head_dim / 2)
            .map(|i| {
                // In single precision, as torch computes it.
                1.0 / (rope.theta as f32).powf((2 * i) as f32 / head_dim as f32)
            })
            .map(|frequency| scaled(&rope.scaling, frequency))
            .collect();
        for (frequency, divisor) in frequencies.iter_mut().zip(divisors.unwrap_or_default()) {
            *frequency /= divisor;
        }
        Self { frequencies }
    }

    /// `head_dim / 2` cosines and sines for each position. They are computed in single precision and then
    /// rounded to the model's dtype, as in transformers.
    pub fn cosines_and_sines(&self, positions: &[usize], dtype: Dtype) -> (Vec<f32>, Vec<f32>) {
        let count = positions.len() * self.frequencies.len();
        let (mut cos, mut sin) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for &position in positions {
            for frequency in &self.frequencies {
                let (s, c) = (position as f32 * frequency).sin_cos();
                cos.push(dtype.rounded(c));
                sin.push(dtype.rounded(s));
            }
        }
        (cos, sin)
    }
}

/// `_compute_llama3_parameters` of transformers' `modeling_rope_utils.py`.
fn scaled(scaling: &RopeScaling, frequency: f32) -> f32 {
    match *scaling {
        RopeScaling::None => frequency,
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => {
            let frequency = f64::from(frequency);
            let wavelength = 2.0 * std::f64::consts::PI / frequency;
            let scaled = if wavelength > original_max_positions / low_freq_factor {
                frequency / factor
            } else if wavelength < original_max_positions / high_freq_factor {
                frequency
            } else {
                let smooth = (original_max_positions / wavelength - low_freq_factor)
                    / (high_freq_factor - low_freq_factor);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            };
            scaled as f32
        }
    }
}

//! From a checkpoint's tensors to packed matrices.

use super::isa::Isa;
use super::matrix::{Matrix, PANEL};
use crate::model::weights::{Weights, WeightsError};

pub type Taken<T> = Result<T, WeightsError>;

/// Takes tensors out of a checkpoint and packs them.
pub struct Packer<'a, 'w> {
    pub weights: &'a mut Weights<'w>,
    pub isa: Isa,
}

impl Packer<'_, '_> {
    /// One matrix of several tensors, each with its outputs.
    pub fn matrix(&mut self, parts: &[(String, usize)], inputs: usize, interleaved: bool) -> Taken<Matrix> {
        let mut numbers = Vec::with_capacity(parts.len());
        for (name, outputs) in parts {
            let name = format!("{name}.weight");
            numbers.push((self.weights.take_numbers(&name, &[*outputs, inputs])?, *outputs));
        }
        Matrix::pack(self.isa, &numbers, inputs, interleaved).map_err(|error| {
            self.weights.no_memory(&parts[0].0, format!("no memory for {} bytes", error.bytes))
        })
    }

    /// A tensor of one dimension, in single precision.
    pub fn vector(&mut self, name: &str, length: usize) -> Taken<Vec<f32>> {
        Ok(self.weights.take_numbers(name, &[length])?.into_f32())
    }

    /// Biases side by side, each filled up to whole panels; interleaved panel by panel.
    pub fn biases(&mut self, parts: &[(String, usize)], interleaved: bool) -> Taken<Vec<f32>> {
        let mut all = Vec::with_capacity(parts.len());
        for (name, outputs) in parts {
            let mut bias = self.vector(&format!("{name}.bias"), *outputs)?;
            bias.resize(outputs.next_multiple_of(PANEL), 0.0);
            all.push(bias);
        }
        if !interleaved {
            return Ok(all.concat());
        }
        let panels = all.first().map_or(0, |bias| bias.len() / PANEL);
        let panel = |n: usize| all.iter().flat_map(move |bias| &bias[n * PANEL..(n + 1) * PANEL]);
        Ok((0..panels).flat_map(panel).copied().collect())
    }
}

//! The weights of a decoder layer.

use super::packer::Packer;
use crate::kernels::gemm::packed_matrix::PackedMatrix;
use crate::model::config::model_config::ModelConfig;
use crate::model::config::tensor_role::{TensorId, TensorRole};
use crate::model::files::error::WeightsError;

/// A layer of the Llama family.
pub struct Layer {
    pub input_norm: Vec<f32>,
    /// Queries, keys and values, each padded to whole panels.
    pub qkv: PackedMatrix,
    pub qkv_bias: Option<Vec<f32>>,
    pub output: PackedMatrix,
    pub output_bias: Option<Vec<f32>>,
    pub post_norm: Vec<f32>,
    /// Alternating panels of gate and up.
    pub gate_up: PackedMatrix,
    pub gate_up_bias: Option<Vec<f32>>,
    pub down: PackedMatrix,
    pub down_bias: Option<Vec<f32>>,
}

impl Layer {
    /// The matrices that a pass reads.
    pub fn matrices(&self) -> [&PackedMatrix; 4] {
        [&self.qkv, &self.output, &self.gate_up, &self.down]
    }

    /// Takes layer `number` out of a checkpoint.
    pub fn take(
        packer: &mut Packer<'_, '_>,
        config: &ModelConfig,
        number: usize,
    ) -> Result<Self, WeightsError> {
        let of = |role: TensorRole| role.of_layer(number);
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (query, kv) = (config.query_width(), config.kv_width());
        let qkv = [(of(TensorRole::Query), query), (of(TensorRole::Key), kv), (of(TensorRole::Value), kv)];
        let output = [(of(TensorRole::Output), hidden)];
        let gate_up = [(of(TensorRole::Gate), inner), (of(TensorRole::Up), inner)];
        let down = [(of(TensorRole::Down), hidden)];
        let bias = |packer: &mut Packer<'_, '_>, is_there: bool, parts: &[(TensorId, usize)], interleaved| {
            is_there.then(|| packer.biases(parts, interleaved)).transpose()
        };
        let input_norm = packer.vector(of(TensorRole::InputNorm), hidden)?;
        let unfilled = [
            packer.unfilled(&qkv, hidden, false)?,
            packer.unfilled(&output, query, false)?,
            packer.unfilled(&gate_up, hidden, true)?,
            packer.unfilled(&down, inner, false)?,
        ];
        let [qkv_matrix, output_matrix, gate_up_matrix, down_matrix] = packer.fill(unfilled)?;
        Ok(Self {
            input_norm,
            qkv: qkv_matrix,
            qkv_bias: bias(packer, config.qkv_bias, &qkv, false)?,
            output: output_matrix,
            output_bias: bias(packer, config.output_bias, &output, false)?,
            post_norm: packer.vector(of(TensorRole::PostNorm), hidden)?,
            gate_up: gate_up_matrix,
            gate_up_bias: bias(packer, config.mlp_bias, &gate_up, true)?,
            down: down_matrix,
            down_bias: bias(packer, config.mlp_bias, &down, false)?,
        })
    }
}

//! The row-wise operations of a layer: norms, products, the MLP.

use super::clock::Operation;
use super::layer::Layer;
use super::network::Network;
use super::workspace::Workspace;
use crate::kernels::elementwise;
use crate::kernels::gemm::activations::{Activations, GemmInput};
use crate::kernels::gemm::packed_matrix::PackedMatrix;

impl Network {
    /// Output projection, and the MLP.
    pub(super) fn after_attention(&self, layer: &Layer, workspace: &mut Workspace) {
        self.clock.time(Operation::Output, || {
            self.add_product(
                &layer.output,
                layer.output_bias.as_deref(),
                &workspace.attended,
                &mut workspace.x,
            );
        });
        self.mlp(layer, workspace);
    }

    pub(super) fn mlp(&self, layer: &Layer, workspace: &mut Workspace) {
        let Workspace { x, normed, inner, .. } = workspace;
        self.norm(x, &layer.post_norm, normed);
        self.clock.time(Operation::GateUp, || self.gated(layer, normed, inner));
        self.clock.time(Operation::Down, || {
            self.add_product(&layer.down, layer.down_bias.as_deref(), inner, x);
        });
    }

    /// RMS norm of each row of `x`.
    pub(super) fn norm(&self, x: &Activations, weight: &[f32], to: &mut GemmInput) {
        let (vector, dtype) = (self.isa.vector, self.dtype);
        let epsilon = self.config.rms_norm_eps as f32;
        self.clock.time(Operation::Norms, || {
            to.write_rows(vector, dtype, x.stride, |row, normed| {
                elementwise::norm(vector, dtype, x.row(row), weight, epsilon, normed);
            });
        });
    }

    /// `to = inputs * matrix + bias`, rounded.
    pub(super) fn product(
        &self,
        matrix: &PackedMatrix,
        bias: Option<&[f32]>,
        inputs: &GemmInput,
        to: &mut Activations,
    ) {
        let stride = to.stride;
        matrix.multiply_into(inputs, &mut to.numbers, (stride, stride), &|sums, to| {
            let bias = bias.map(|bias| &bias[sums.column..sums.column + sums.width]);
            elementwise::store(self.isa.vector, self.dtype, sums.numbers, sums.width, bias, to);
        });
    }

    /// `x += inputs * matrix + bias`, rounded.
    fn add_product(
        &self,
        matrix: &PackedMatrix,
        bias: Option<&[f32]>,
        inputs: &GemmInput,
        x: &mut Activations,
    ) {
        let stride = x.stride;
        matrix.multiply_into(inputs, &mut x.numbers, (stride, stride), &|sums, x| {
            let bias = bias.map(|bias| &bias[sums.column..sums.column + sums.width]);
            elementwise::add(self.isa.vector, self.dtype, sums.numbers, sums.width, bias, x);
        });
    }

    /// Computes the MLP's inner activations.
    fn gated(&self, layer: &Layer, normed: &GemmInput, inner: &mut GemmInput) {
        let (vector, dtype) = (self.isa.vector, self.dtype);
        let bias = layer.gate_up_bias.as_deref();
        layer.gate_up.multiply_folded(normed, inner, dtype, self.config.intermediate_size, &|sums| {
            let bias = bias.map(|bias| &bias[sums.column..sums.column + sums.width]);
            elementwise::gated(vector, dtype, sums.numbers, sums.width, bias);
        });
    }
}

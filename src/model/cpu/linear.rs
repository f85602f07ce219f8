//! What a layer does to each row for itself: norms, products, the MLP.

use super::clock::Operation;
use super::inputs::Rows;
use super::layer::Layer;
use super::matrix::{Matrix, PANEL};
use super::memory::{Table, with_scratch};
use super::network::Network;
use super::rows;
use super::team;
use super::workspace::{Activations, Workspace};

/// Rows that a job takes of what costs little.
const ROWS: usize = 16;

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

    /// The norm of each row of `x`.
    pub(super) fn norm(&self, x: &Activations, weight: &[f32], to: &mut Rows) {
        let (vector, dtype) = (self.isa.vector, self.dtype);
        let epsilon = self.config.rms_norm_eps as f32;
        let places = to.places();
        self.clock.time(Operation::Norms, || {
            team::for_each(x.count.div_ceil(ROWS), |job| {
                with_scratch(x.stride, |normed| {
                    for row in job * ROWS..x.count.min((job + 1) * ROWS) {
                        rows::norm(vector, dtype, x.row(row), weight, epsilon, normed);
                        // SAFETY: each row is of one job.
                        unsafe { places.write(vector, dtype, row, 0, normed) };
                    }
                });
            });
        });
    }

    /// `to = inputs * matrix + bias`, rounded.
    pub(super) fn product(&self, matrix: &Matrix, bias: Option<&[f32]>, inputs: &Rows, to: &mut Activations) {
        let table = Table::new(&mut to.numbers, to.stride);
        matrix.multiply(inputs, 1, |block| rows::store(self.isa.vector, self.dtype, block, bias, &table));
    }

    /// `x += inputs * matrix + bias`, rounded.
    fn add_product(&self, matrix: &Matrix, bias: Option<&[f32]>, inputs: &Rows, x: &mut Activations) {
        let width = x.stride;
        let table = Table::new(&mut x.numbers, width);
        matrix
            .multiply(inputs, 1, |block| rows::add(self.isa.vector, self.dtype, block, bias, &table, width));
    }

    /// The MLP's inner activations.
    fn gated(&self, layer: &Layer, normed: &Rows, inner: &mut Rows) {
        let (vector, dtype) = (self.isa.vector, self.dtype);
        let width = self.config.intermediate_size;
        let bias = layer.gate_up_bias.as_deref();
        let places = inner.places();
        layer.gate_up.multiply(normed, 2, |block| {
            rows::gated(vector, dtype, block, bias);
            let column = block.column / 2;
            // The last panel may be filled up.
            let count = PANEL.min(width - column);
            for (row, sums) in block.sums.chunks_exact(block.width).enumerate() {
                // SAFETY: a product writes each block, of whole panels of 32, once.
                unsafe { places.write(vector, dtype, block.row + row, column, &sums[..count]) };
            }
        });
    }
}

//! What a pass works in, kept from pass to pass: fresh memory costs more than what is computed in it.

use super::gather::Gathered;
use super::inputs::{Rows, gather};
use super::memory::{Aligned, NoMemory};
use super::network::Network;

/// Rows of single-precision numbers.
pub struct Activations {
    pub numbers: Aligned<f32>,
    pub stride: usize,
    pub count: usize,
}

impl Activations {
    pub fn new(stride: usize) -> Result<Self, NoMemory> {
        Ok(Self { numbers: Aligned::zeros(0)?, stride, count: 0 })
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.stride..][..self.stride]
    }

    /// Makes it `count` rows, which hold anything.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        self.count = count;
        self.numbers.grow(count * self.stride)
    }

    /// Makes it the rows of `from` that are named, in that order.
    pub fn gather(&mut self, from: &Activations, rows: &[u32]) -> Result<(), NoMemory> {
        self.set_count(rows.len())?;
        gather(&mut self.numbers, &from.numbers, self.stride, rows);
        Ok(())
    }
}

/// Rows of a pass at every stage of a layer.
pub struct Workspace {
    /// The stream that layers add to.
    pub x: Activations,
    /// Normed rows of it.
    pub normed: Rows,
    pub qkv: Activations,
    pub attended: Rows,
    /// The MLP's inner activations.
    pub inner: Rows,
    pub logits: Activations,
    pub gathered: Gathered,
}

impl Workspace {
    /// Without rows.
    pub fn new(network: &Network) -> Result<Self, NoMemory> {
        let config = &network.config;
        let format = network.head.format();
        let rows = |width| Rows::zeros(network.isa, format, 0, width);
        Ok(Self {
            x: Activations::new(config.hidden_size)?,
            normed: rows(config.hidden_size)?,
            qkv: Activations::new(network.layers.first().map_or(0, |layer| layer.qkv.width()))?,
            attended: rows(config.query_width())?,
            inner: rows(config.intermediate_size)?,
            logits: Activations::new(network.head.width())?,
            gathered: Gathered::new(network.kept_shape())?,
        })
    }

    /// Makes it a workspace for `count` rows, which hold anything.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        self.x.set_count(count)?;
        self.normed.set_count(count)?;
        self.qkv.set_count(count)?;
        self.attended.set_count(count)?;
        self.inner.set_count(count)
    }
}

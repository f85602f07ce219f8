//! Scratch memory of passes, reused from pass to pass: fresh memory costs more than the computation in it.

use crate::kernels::attention::kv_layout::PackedKv;
use crate::kernels::attention::kv_rows::KvShape;
use crate::kernels::gemm::activations::{Activations, GemmInput};
use crate::kernels::gemm::kernel::Kernel;
use crate::kernels::memory::NoMemory;

/// Elements of a row at each stage of a layer, with padding.
#[derive(Debug, Clone, Copy)]
pub struct Widths {
    /// The residual stream.
    pub hidden: usize,
    /// Queries, keys and values together.
    pub qkv: usize,
    /// The result of attention.
    pub attended: usize,
    /// Inside the MLP.
    pub inner: usize,
    pub logits: usize,
}

/// Rows of a pass at every stage of a layer.
pub struct Workspace {
    /// The residual stream.
    pub x: Activations,
    /// Rows of `x` after the norm.
    pub normed: GemmInput,
    pub qkv: Activations,
    pub attended: GemmInput,
    /// The MLP's inner activations.
    pub inner: GemmInput,
    pub logits: Activations,
    pub packed_kv: PackedKv,
}

impl Workspace {
    /// A workspace without rows, for products by `kernel`.
    pub fn new(widths: Widths, kernel: &Kernel, shape: KvShape) -> Result<Self, NoMemory> {
        let input = |width| GemmInput::zeros(kernel, 0, width);
        Ok(Self {
            x: Activations::new(widths.hidden)?,
            normed: input(widths.hidden)?,
            qkv: Activations::new(widths.qkv)?,
            attended: input(widths.attended)?,
            inner: input(widths.inner)?,
            logits: Activations::new(widths.logits)?,
            packed_kv: PackedKv::new(shape)?,
        })
    }

    /// Resizes all stages but the logits to `count` rows, with unspecified contents.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        self.x.set_count(count)?;
        self.normed.set_count(count)?;
        self.qkv.set_count(count)?;
        self.attended.set_count(count)?;
        self.inner.set_count(count)
    }
}

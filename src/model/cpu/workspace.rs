//! What a pass works in, kept from pass to pass: fresh memory costs more than what is computed in it.

use crate::kernels::attention::kv_layout::PackedKv;
use crate::kernels::attention::kv_rows::KvShape;
use crate::kernels::gemm::activations::{Activations, GemmInput};
use crate::kernels::gemm::kernel::Kernel;
use crate::kernels::memory::NoMemory;

/// Numbers of a row at the stages of a layer, with padding.
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
    /// Logits.
    pub logits: usize,
}

/// Rows of a pass at every stage of a layer.
pub struct Workspace {
    /// The stream that layers add to.
    pub x: Activations,
    /// Its rows, normed.
    pub normed: GemmInput,
    pub qkv: Activations,
    pub attended: GemmInput,
    /// The MLP's inner activations.
    pub inner: GemmInput,
    pub logits: Activations,
    pub packed_kv: PackedKv,
}

impl Workspace {
    /// Without rows, for products by `kernel`.
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

    /// Makes it a workspace for `count` rows, which hold anything.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        self.x.set_count(count)?;
        self.normed.set_count(count)?;
        self.qkv.set_count(count)?;
        self.attended.set_count(count)?;
        self.inner.set_count(count)
    }
}

//! The interface of a weight format.

use std::fmt::Debug;
use std::ops::Range;

use crate::kernels::gemm::kernel::Kernel;
use crate::kernels::isa::{Isa, Vector};

/// A format of stored and packed weights.
pub trait WeightFormat: Debug + Sync {
    /// Its name: that of the [`Dtype`](crate::kernels::dtype::Dtype), if it is one.
    fn name(&self) -> &'static str;

    /// Elements of a block. A row consists of whole blocks.
    fn block_len(&self) -> usize;

    /// Bytes of a block.
    fn block_bytes(&self) -> usize;

    /// Bytes of `count` elements, which are whole blocks.
    fn bytes(&self, count: usize) -> usize {
        count / self.block_len() * self.block_bytes()
    }

    /// Reads whole blocks as single-precision numbers, in order. Blocks are little-endian.
    fn read(&self, blocks: &[u8], to: &mut [f32]);

    /// Packs a piece, `[rows][columns]` in whole blocks with at most [`NR`](crate::kernels::layout::NR) rows,
    /// into `panel`, which starts at the byte where the piece's first column belongs.
    fn pack(&self, vector: Vector, piece: &[u8], rows: usize, panel: &mut [u8]);

    /// Unpacks terms of some columns of a packed panel to single precision, `[terms][columns]`.
    fn unpack(&self, panel: &[u8], terms: Range<usize>, columns: Range<usize>, to: &mut [f32]);

    /// The kernel that multiplies with packed panels.
    fn kernel(&self, isa: Isa) -> Kernel;

    /// Bytes from a row of a packed panel to the next, as
    /// [`Panel::row`](crate::kernels::gemm::args::Panel::row).
    fn panel_row(&self) -> usize;
}

/// Unpacks element by element: `number(term, column)` is an element of the panel.
pub fn unpack_each(
    terms: Range<usize>,
    columns: Range<usize>,
    to: &mut [f32],
    number: impl Fn(usize, usize) -> f32,
) {
    let width = columns.len().max(1);
    for (term, to) in terms.zip(to.chunks_exact_mut(width)) {
        for (column, to) in columns.clone().zip(to) {
            *to = number(term, column);
        }
    }
}

//! An embedding table, row-major and unpacked, in the model's dtype.

use crate::kernels::dtype::Dtype;
use crate::kernels::memory::{Aligned, NoMemory, WeightArena};
use crate::kernels::weight_format::of_dtype;

/// One row of values per token.
pub struct Embedding {
    dtype: Dtype,
    width: usize,
    bytes: Aligned<u8>,
}

impl Embedding {
    /// `count` rows of `width` zeros.
    pub fn zeros(
        dtype: Dtype,
        count: usize,
        width: usize,
        arena: &mut WeightArena,
    ) -> Result<Self, NoMemory> {
        let no_memory = NoMemory { bytes: usize::MAX };
        let bytes = count.checked_mul(width).and_then(|n| n.checked_mul(dtype.size())).ok_or(no_memory)?;
        Ok(Self { dtype, width, bytes: arena.zeros(bytes)? })
    }

    /// The rows' bytes in pieces of `rows` rows.
    pub fn rows_mut(&mut self, rows: usize) -> impl Iterator<Item = &mut [u8]> {
        let bytes = rows * self.row_bytes();
        self.bytes.chunks_mut(bytes.max(1))
    }

    /// A token's row in single precision.
    pub fn read(&self, token: usize, to: &mut [f32]) {
        of_dtype(self.dtype).read(&self.bytes[token * self.row_bytes()..][..self.row_bytes()], to);
    }

    fn row_bytes(&self) -> usize {
        self.width * self.dtype.size()
    }
}

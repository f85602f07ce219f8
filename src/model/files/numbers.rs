//! The values of a tensor in the model's dtype.

use std::collections::TryReserveError;

use half::{bf16, f16};

use crate::kernels::dtype::Dtype;

/// The values of one tensor, row-major, in the model's dtype.
pub enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
}

impl Numbers {
    /// Reserves memory for `count` values.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn with_capacity(dtype: Dtype, count: usize) -> Result<Self, TryReserveError> {
        fn reserved<T>(count: usize) -> Result<Vec<T>, TryReserveError> {
            let mut numbers = Vec::new();
            numbers.try_reserve_exact(count)?;
            Ok(numbers)
        }
        Ok(match dtype {
            Dtype::F32 => Numbers::F32(reserved(count)?),
            Dtype::Bf16 => Numbers::Bf16(reserved(count)?),
            Dtype::F16 => Numbers::F16(reserved(count)?),
        })
    }

    /// Appends little-endian values; bytes after the last complete value are ignored.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        match self {
            Numbers::F32(to) => to.extend(words(bytes).map(f32::from_le_bytes)),
            Numbers::Bf16(to) => to.extend(words(bytes).map(bf16::from_le_bytes)),
            Numbers::F16(to) => to.extend(words(bytes).map(f16::from_le_bytes)),
        }
    }

    /// All values in single precision.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Numbers::F32(numbers) => numbers,
            Numbers::Bf16(numbers) => numbers.into_iter().map(bf16::to_f32).collect(),
            Numbers::F16(numbers) => numbers.into_iter().map(f16::to_f32).collect(),
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl ExactSizeIterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

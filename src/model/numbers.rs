//! From the bytes of a stored tensor to numbers of the wanted format.

use std::collections::TryReserveError;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::config::Dtype;

impl Dtype {
    pub(super) fn candle(self) -> DType {
        match self {
            Dtype::F32 => DType::F32,
            Dtype::Bf16 => DType::BF16,
            Dtype::F16 => DType::F16,
        }
    }

    /// The nearest number of this format, ties to even.
    pub(super) fn rounded(self, x: f32) -> f32 {
        match self {
            Dtype::F32 => x,
            Dtype::Bf16 => bf16::from_f32(x).to_f32(),
            Dtype::F16 => f16::from_f32(x).to_f32(),
        }
    }
}

/// The numbers of one tensor, row by row, in the wanted format; filled piece by piece, so that a conversion never holds
/// more than a piece beside its result.
pub(super) enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
}

/// Numbers converted at a time.
const PIECE: usize = 1 << 16;

impl Numbers {
    /// Room for `count` numbers.
    ///
    /// # Errors
    /// Where the memory isn't there.
    pub fn with_capacity(dtype: Dtype, count: usize) -> Result<Self, TryReserveError> {
        fn room<T>(count: usize) -> Result<Vec<T>, TryReserveError> {
            let mut numbers = Vec::new();
            numbers.try_reserve_exact(count)?;
            Ok(numbers)
        }
        Ok(match dtype {
            Dtype::F32 => Numbers::F32(room(count)?),
            Dtype::Bf16 => Numbers::Bf16(room(count)?),
            Dtype::F16 => Numbers::F16(room(count)?),
        })
    }

    /// Appends little-endian numbers of format `stored`; bytes after the last whole number are left out.
    ///
    /// Wider to narrower rounds to nearest, ties to even, as torch does.
    pub fn push_bytes(&mut self, stored: Dtype, bytes: &[u8]) {
        match (self, stored) {
            (Numbers::F32(to), Dtype::F32) => to.extend(words(bytes).map(f32::from_le_bytes)),
            (Numbers::Bf16(to), Dtype::Bf16) => to.extend(words(bytes).map(bf16::from_le_bytes)),
            (Numbers::F16(to), Dtype::F16) => to.extend(words(bytes).map(f16::from_le_bytes)),
            (to, stored) => {
                let mut piece = Vec::with_capacity(PIECE);
                for bytes in bytes.chunks(PIECE * stored.size()) {
                    piece.clear();
                    match stored {
                        Dtype::F32 => piece.extend(words(bytes).map(f32::from_le_bytes)),
                        Dtype::Bf16 => piece.extend(words(bytes).map(|w| bf16::from_le_bytes(w).to_f32())),
                        Dtype::F16 => piece.extend(words(bytes).map(|w| f16::from_le_bytes(w).to_f32())),
                    }
                    to.push_f32(&piece);
                }
            }
        }
    }

    /// Appends numbers, rounded to the wanted format.
    pub fn push_f32(&mut self, numbers: &[f32]) {
        match self {
            Numbers::F32(to) => to.extend_from_slice(numbers),
            Numbers::Bf16(to) => to.extend(numbers.iter().map(|&n| bf16::from_f32(n))),
            Numbers::F16(to) => to.extend(numbers.iter().map(|&n| f16::from_f32(n))),
        }
    }

    /// Rows of `width` numbers in another order: row `i` of the result is row `source(i)`.
    pub fn reorder_rows(self, width: usize, source: impl Fn(usize) -> usize) -> Self {
        fn reorder<T: Copy>(numbers: Vec<T>, width: usize, source: impl Fn(usize) -> usize) -> Vec<T> {
            let mut reordered = Vec::with_capacity(numbers.len());
            for row in 0..numbers.len() / width.max(1) {
                let from = source(row) * width;
                reordered.extend_from_slice(&numbers[from..from + width]);
            }
            reordered
        }
        match self {
            Numbers::F32(numbers) => Numbers::F32(reorder(numbers, width, source)),
            Numbers::Bf16(numbers) => Numbers::Bf16(reorder(numbers, width, source)),
            Numbers::F16(numbers) => Numbers::F16(reorder(numbers, width, source)),
        }
    }

    /// All of them in single precision.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Numbers::F32(numbers) => numbers,
            Numbers::Bf16(numbers) => numbers.into_iter().map(bf16::to_f32).collect(),
            Numbers::F16(numbers) => numbers.into_iter().map(f16::to_f32).collect(),
        }
    }

    /// Numbers from `from` on in single precision, as many as `to` takes.
    pub fn read(&self, from: usize, to: &mut [f32]) {
        match self {
            Numbers::F32(numbers) => to.copy_from_slice(&numbers[from..from + to.len()]),
            Numbers::Bf16(numbers) => to.iter_mut().zip(&numbers[from..]).for_each(|(x, n)| *x = n.to_f32()),
            Numbers::F16(numbers) => to.iter_mut().zip(&numbers[from..]).for_each(|(x, n)| *x = n.to_f32()),
        }
    }

    /// As a tensor of `shape` on `device`.
    pub fn into_tensor(self, shape: &[usize], device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Numbers::F32(numbers) => Tensor::from_vec(numbers, shape, device),
            Numbers::Bf16(numbers) => Tensor::from_vec(numbers, shape, device),
            Numbers::F16(numbers) => Tensor::from_vec(numbers, shape, device),
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl ExactSizeIterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

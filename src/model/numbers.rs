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

/// The numbers of one tensor, row by row, in the wanted format.
pub(super) enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
}

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

    /// Their format.
    pub fn dtype(&self) -> Dtype {
        match self {
            Numbers::F32(_) => Dtype::F32,
            Numbers::Bf16(_) => Dtype::Bf16,
            Numbers::F16(_) => Dtype::F16,
        }
    }

    /// Appends little-endian numbers; bytes after the last whole number are left out.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        match self {
            Numbers::F32(to) => to.extend(words(bytes).map(f32::from_le_bytes)),
            Numbers::Bf16(to) => to.extend(words(bytes).map(bf16::from_le_bytes)),
            Numbers::F16(to) => to.extend(words(bytes).map(f16::from_le_bytes)),
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

    /// All of them in single precision.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Numbers::F32(numbers) => numbers,
            Numbers::Bf16(numbers) => numbers.into_iter().map(bf16::to_f32).collect(),
            Numbers::F16(numbers) => numbers.into_iter().map(f16::to_f32).collect(),
        }
    }

    /// Numbers `from..` as little-endian bytes, as many as `to` takes.
    pub fn bytes(&self, from: usize, to: &mut [u8]) {
        match self {
            Numbers::F32(numbers) => fill(to, numbers[from..].iter().map(|n| n.to_le_bytes())),
            Numbers::Bf16(numbers) => fill(to, numbers[from..].iter().map(|n| n.to_le_bytes())),
            Numbers::F16(numbers) => fill(to, numbers[from..].iter().map(|n| n.to_le_bytes())),
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

fn fill<const N: usize>(to: &mut [u8], words: impl Iterator<Item = [u8; N]>) {
    to.as_chunks_mut::<N>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word);
}

/// Little-endian numbers of one format as those of another.
///
/// Wider to narrower rounds to nearest, ties to even, as torch does.
pub(super) fn convert(from: Dtype, bytes: &[u8], dtype: Dtype, to: &mut [u8]) {
    match from {
        _ if from == dtype => to.copy_from_slice(bytes),
        Dtype::F32 => write_all(words(bytes).map(f32::from_le_bytes), dtype, to),
        Dtype::Bf16 => write_all(words(bytes).map(|word| bf16::from_le_bytes(word).to_f32()), dtype, to),
        Dtype::F16 => write_all(words(bytes).map(|word| f16::from_le_bytes(word).to_f32()), dtype, to),
    }
}

/// Little-endian numbers of format `dtype` in single precision.
pub(super) fn widen(dtype: Dtype, bytes: &[u8], to: &mut [f32]) {
    match dtype {
        Dtype::F32 => to.iter_mut().zip(words(bytes)).for_each(|(x, n)| *x = f32::from_le_bytes(n)),
        Dtype::Bf16 => {
            to.iter_mut().zip(words(bytes)).for_each(|(x, n)| *x = bf16::from_le_bytes(n).to_f32());
        }
        Dtype::F16 => to.iter_mut().zip(words(bytes)).for_each(|(x, n)| *x = f16::from_le_bytes(n).to_f32()),
    }
}

/// Numbers as little-endian ones of format `dtype`.
pub(super) fn write(numbers: &[f32], dtype: Dtype, to: &mut [u8]) {
    write_all(numbers.iter().copied(), dtype, to);
}

fn write_all(numbers: impl Iterator<Item = f32>, dtype: Dtype, to: &mut [u8]) {
    match dtype {
        Dtype::F32 => fill(to, numbers.map(f32::to_le_bytes)),
        Dtype::Bf16 => fill(to, numbers.map(|n| bf16::from_f32(n).to_le_bytes())),
        Dtype::F16 => fill(to, numbers.map(|n| f16::from_f32(n).to_le_bytes())),
    }
}

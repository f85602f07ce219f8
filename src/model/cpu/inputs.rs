//! Rows of activations as products take them.

use rayon::prelude::*;

use super::amx;
use super::isa::{Bf16, Isa};
use super::memory::{Aligned, NoMemory};
use super::vector::Format;

/// The numbers of rows, filled up with zeros to whole blocks, and to whole tiles of rows with anything.
pub enum Inputs {
    Single(Aligned<f32>),
    Bf16(Aligned<u16>),
}

/// Rows to multiply.
pub struct Rows {
    pub inputs: Inputs,
    pub count: usize,
    /// Numbers from row to row.
    pub stride: usize,
}

/// `inputs`, filled up.
pub fn padded(inputs: usize) -> usize {
    inputs.next_multiple_of(amx::BLOCK)
}

impl Rows {
    /// `count` rows of `inputs` numbers, all zero, as matrices in this format take them.
    pub fn zeros(isa: Isa, format: Format, count: usize, inputs: usize) -> Result<Self, NoMemory> {
        let mut stride = padded(inputs);
        // Rows a power of two apart would fall on the same lines of the fastest cache.
        if stride.is_multiple_of(512) {
            stride += 32;
        }
        let length = Self::length(count, stride);
        let numbers = match format == Format::Bf16Pairs && isa.bf16 != Bf16::Widened {
            true => Inputs::Bf16(Aligned::zeros(length)?),
            false => Inputs::Single(Aligned::zeros(length)?),
        };
        Ok(Self { inputs: numbers, count, stride })
    }

    fn length(count: usize, stride: usize) -> usize {
        count.next_multiple_of(2 * amx::ROWS) * stride
    }

    /// Makes it `count` rows, which hold anything within their width.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        // Numbers beyond the width are never written, so they stay zero in memory that was.
        let length = Self::length(count, self.stride);
        match &mut self.inputs {
            Inputs::Single(numbers) => numbers.grow(length)?,
            Inputs::Bf16(numbers) => numbers.grow(length)?,
        }
        self.count = count;
        Ok(())
    }

    /// Makes it the rows of `from` that are named, in that order.
    pub fn gather(&mut self, from: &Rows, rows: &[u32]) -> Result<(), NoMemory> {
        self.set_count(rows.len())?;
        match (&mut self.inputs, &from.inputs) {
            (Inputs::Single(to), Inputs::Single(from_numbers)) => gather(to, from_numbers, from.stride, rows),
            (Inputs::Bf16(to), Inputs::Bf16(from_numbers)) => gather(to, from_numbers, from.stride, rows),
            _ => unreachable!("all rows of a network are of one format"),
        }
        Ok(())
    }
}

/// Some rows, in the order of `rows`.
pub fn gather<T: Copy + Send + Sync>(to: &mut [T], from: &[T], stride: usize, rows: &[u32]) {
    to.par_chunks_mut(stride.max(1))
        .zip(rows)
        .for_each(|(to, &row)| to.copy_from_slice(&from[row as usize * stride..][..stride]));
}

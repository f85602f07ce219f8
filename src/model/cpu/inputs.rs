//! Rows of activations as products take them.

use super::amx;
use super::isa::{Bf16, Isa, Vector};
use super::memory::{Aligned, NoMemory, Shared};
use super::rows::to_bf16;
use super::split::{PARTS, split, split_row};
use super::team;
use super::vector::Format;
use crate::model::Dtype;

/// The numbers of rows, filled up with zeros to whole blocks, and to whole tiles of rows with anything.
pub enum Inputs {
    Single(Aligned<f32>),
    Bf16(Aligned<u16>),
    /// Single precision in three parts, block by block.
    Split(Aligned<u16>),
}

/// Places of rows that jobs write side by side, numbers of the model's format.
pub struct Places<'a> {
    to: To<'a>,
    stride: usize,
}

enum To<'a> {
    Single(Shared<'a, f32>),
    Bf16(Shared<'a, u16>),
    Split(Shared<'a, u16>),
}

impl Places<'_> {
    /// Numbers `column..column + count` of a row of bfloat16 numbers.
    ///
    /// # Safety
    /// While the result lives, nobody else writes these numbers.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the caller promises that parts don't overlap")]
    pub unsafe fn bf16(&self, row: usize, column: usize, count: usize) -> &mut [u16] {
        let To::Bf16(to) = &self.to else { unreachable!("rows of bfloat16 numbers") };
        // SAFETY: the caller's promise.
        unsafe { to.part(row * self.stride + column, count) }
    }

    /// Writes numbers of a row, the first of them at `column`.
    ///
    /// # Safety
    /// Meanwhile nobody else writes these numbers.
    #[inline]
    pub unsafe fn write(&self, vector: Vector, dtype: Dtype, row: usize, column: usize, numbers: &[f32]) {
        let (start, count) = (row * self.stride, numbers.len());
        // SAFETY: the caller's promise.
        unsafe {
            match &self.to {
                To::Single(to) => to.part(start + column, count).copy_from_slice(numbers),
                To::Bf16(to) => to_bf16(vector, dtype, numbers, to.part(start + column, count)),
                To::Split(to) => {
                    const BLOCK: usize = PARTS * amx::BLOCK;
                    let is_aligned = column.is_multiple_of(amx::BLOCK);
                    let whole = if is_aligned { count / amx::BLOCK * amx::BLOCK } else { 0 };
                    let (blocks, rest) = numbers.split_at(whole);
                    split_row(vector, blocks, to.part(start + column / amx::BLOCK * BLOCK, whole * PARTS));
                    // Others may be writing in these blocks: number by number.
                    for (column, x) in (column + whole..).zip(rest) {
                        let at = start + column / amx::BLOCK * BLOCK + column % amx::BLOCK;
                        for (part, number) in split(*x).into_iter().enumerate() {
                            to.part(at + part * amx::BLOCK, 1)[0] = number;
                        }
                    }
                }
            }
        }
    }
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
        let is_split = format == Format::F32 && isa.has_tiles_for(format);
        let mut stride = padded(inputs) * if is_split { PARTS } else { 1 };
        // Rows a power of two apart would fall on the same lines of the fastest cache.
        if stride.is_multiple_of(512) {
            stride += 32;
        }
        let length = Self::length(count, stride);
        let numbers = match format == Format::Bf16Pairs && isa.bf16 != Bf16::Widened {
            true => Inputs::Bf16(Aligned::zeros(length)?),
            false if is_split => Inputs::Split(Aligned::zeros(length)?),
            false => Inputs::Single(Aligned::zeros(length)?),
        };
        Ok(Self { inputs: numbers, count, stride })
    }

    fn length(count: usize, stride: usize) -> usize {
        count.next_multiple_of(2 * amx::ROWS) * stride
    }

    /// Their places, to be written.
    pub fn places(&mut self) -> Places<'_> {
        let to = match &mut self.inputs {
            Inputs::Single(numbers) => To::Single(Shared::new(numbers)),
            Inputs::Bf16(numbers) => To::Bf16(Shared::new(numbers)),
            Inputs::Split(numbers) => To::Split(Shared::new(numbers)),
        };
        Places { to, stride: self.stride }
    }

    /// Makes it `count` rows, which hold anything within their width.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        // Numbers beyond the width are never written, so they stay zero in memory that was.
        let length = Self::length(count, self.stride);
        match &mut self.inputs {
            Inputs::Single(numbers) => numbers.grow(length)?,
            Inputs::Bf16(numbers) | Inputs::Split(numbers) => numbers.grow(length)?,
        }
        self.count = count;
        Ok(())
    }

    /// Makes it the rows of `from` that are named, in that order.
    pub fn gather(&mut self, from: &Rows, rows: &[u32]) -> Result<(), NoMemory> {
        self.set_count(rows.len())?;
        match (&mut self.inputs, &from.inputs) {
            (Inputs::Single(to), Inputs::Single(from_numbers)) => gather(to, from_numbers, from.stride, rows),
            (Inputs::Bf16(to), Inputs::Bf16(from_numbers))
            | (Inputs::Split(to), Inputs::Split(from_numbers)) => gather(to, from_numbers, from.stride, rows),
            _ => unreachable!("all rows of a network are of one format"),
        }
        Ok(())
    }
}

/// Some rows, in the order of `rows`.
pub fn gather<T: Copy + Send + Sync>(to: &mut [T], from: &[T], stride: usize, rows: &[u32]) {
    let to = Shared::new(&mut to[..stride * rows.len()]);
    team::for_each(rows.len(), |number| {
        let from = &from[rows[number] as usize * stride..][..stride];
        // SAFETY: each row is its job's own.
        unsafe { to.part(number * stride, stride) }.copy_from_slice(from);
    });
}

//! Rows of activations: in single precision, and packed for kernels as the A of a product.

use super::bf16x3::{PARTS, split, split_row};
use super::kernel::Kernel;
use crate::kernels::dtype::Dtype;
use crate::kernels::elementwise::to_bf16;
use crate::kernels::isa::Vector;
use crate::kernels::layout::{TILE_K, TILE_M, padded_k};
use crate::kernels::memory::{Aligned, NoMemory, Shared, with_scratch};
use crate::kernels::team;

/// Rows per job for cheap row-wise operations.
pub const JOB_ROWS: usize = 16;

/// Rows in single precision.
pub struct Activations {
    pub numbers: Aligned<f32>,
    /// Elements from row to row.
    pub stride: usize,
    pub count: usize,
}

impl Activations {
    /// Without rows.
    pub fn new(stride: usize) -> Result<Self, NoMemory> {
        Ok(Self { numbers: Aligned::zeros(0)?, stride, count: 0 })
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.stride..][..self.stride]
    }

    /// Resizes to `count` rows with any content.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        self.count = count;
        self.numbers.grow(count * self.stride)
    }

    /// Calls `work` with each row's index and the row, several at once.
    pub fn for_each_row(&mut self, work: impl Fn(usize, &mut [f32]) + Sync) {
        let stride = self.stride.max(1);
        team::for_each_chunk(
            &mut self.numbers[..self.count * self.stride],
            JOB_ROWS * stride,
            |job, rows| {
                rows.chunks_exact_mut(stride)
                    .enumerate()
                    .for_each(|(row, numbers)| work(job * JOB_ROWS + row, numbers));
            },
        );
    }

    /// Replaces its rows by the given rows of `from`, in that order.
    pub fn gather(&mut self, from: &Activations, rows: &[u32]) -> Result<(), NoMemory> {
        self.set_count(rows.len())?;
        gather(&mut self.numbers, &from.numbers, self.stride, rows);
        Ok(())
    }
}

/// The elements of rows. Each row is padded with zeros to whole blocks of `k`; the rows are padded to whole
/// tiles, with any content.
pub enum Numbers {
    F32(Aligned<f32>),
    Bf16(Aligned<u16>),
    /// Single precision in three parts, `[k / 32][3][32]`.
    Bf16x3(Aligned<u16>),
}

/// Rows packed for a kernel: the A of a product.
pub struct GemmInput {
    pub numbers: Numbers,
    pub count: usize,
    /// Elements from row to row.
    pub stride: usize,
}

impl GemmInput {
    /// `count` rows of `k` elements, all zero, for a kernel.
    pub fn zeros(kernel: &Kernel, count: usize, k: usize) -> Result<Self, NoMemory> {
        let parts = if matches!(kernel, Kernel::Bf16x3(_)) { PARTS } else { 1 };
        let mut stride = padded_k(k) * parts;
        // Rows a power of two apart would share the same sets of the first-level cache.
        if stride.is_multiple_of(512) {
            stride += 32;
        }
        let length = Self::length(count, stride);
        let numbers = match kernel {
            Kernel::F32(_) => Numbers::F32(Aligned::zeros(length)?),
            Kernel::Bf16(_) => Numbers::Bf16(Aligned::zeros(length)?),
            Kernel::Bf16x3(_) => Numbers::Bf16x3(Aligned::zeros(length)?),
        };
        Ok(Self { numbers, count, stride })
    }

    fn length(count: usize, stride: usize) -> usize {
        count.next_multiple_of(2 * TILE_M) * stride
    }

    /// Access for jobs that write rows concurrently.
    pub fn writer(&mut self) -> RowWriter<'_> {
        let to = match &mut self.numbers {
            Numbers::F32(numbers) => To::F32(Shared::new(numbers)),
            Numbers::Bf16(numbers) => To::Bf16(Shared::new(numbers)),
            Numbers::Bf16x3(numbers) => To::Bf16x3(Shared::new(numbers)),
        };
        RowWriter { to, stride: self.stride }
    }

    /// Resizes to `count` rows with any content within their width.
    pub fn set_count(&mut self, count: usize) -> Result<(), NoMemory> {
        // Elements beyond the width are never written and new memory is zero, so they stay zero.
        let length = Self::length(count, self.stride);
        match &mut self.numbers {
            Numbers::F32(numbers) => numbers.grow(length)?,
            Numbers::Bf16(numbers) | Numbers::Bf16x3(numbers) => numbers.grow(length)?,
        }
        self.count = count;
        Ok(())
    }

    /// Writes all rows, several at once: `compute` fills a row of `width` elements, already rounded to
    /// `dtype`.
    pub fn write_rows(
        &mut self,
        vector: Vector,
        dtype: Dtype,
        width: usize,
        compute: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        let count = self.count;
        let writer = self.writer();
        team::for_each(count.div_ceil(JOB_ROWS), |job| {
            with_scratch(width, |numbers| {
                for row in job * JOB_ROWS..count.min((job + 1) * JOB_ROWS) {
                    compute(row, numbers);
                    // SAFETY: each row belongs to one job.
                    unsafe { writer.write(vector, dtype, row, 0, numbers) };
                }
            });
        });
    }

    /// Replaces its rows by the given rows of `from`, in that order.
    pub fn gather(&mut self, from: &GemmInput, rows: &[u32]) -> Result<(), NoMemory> {
        self.set_count(rows.len())?;
        match (&mut self.numbers, &from.numbers) {
            (Numbers::F32(to), Numbers::F32(numbers)) => gather(to, numbers, from.stride, rows),
            (Numbers::Bf16(to), Numbers::Bf16(numbers)) | (Numbers::Bf16x3(to), Numbers::Bf16x3(numbers)) => {
                gather(to, numbers, from.stride, rows)
            }
            _ => unreachable!("all rows of a network are for one kernel"),
        }
        Ok(())
    }
}

/// Writes rows of a [`GemmInput`] from several jobs, each its own rows.
pub struct RowWriter<'a> {
    to: To<'a>,
    stride: usize,
}

enum To<'a> {
    F32(Shared<'a, f32>),
    Bf16(Shared<'a, u16>),
    Bf16x3(Shared<'a, u16>),
}

impl RowWriter<'_> {
    /// Elements `column..column + count` of a bfloat16 row.
    ///
    /// # Safety
    /// While the result lives, nothing else writes these elements.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the caller promises that parts don't overlap")]
    pub unsafe fn bf16(&self, row: usize, column: usize, count: usize) -> &mut [u16] {
        let To::Bf16(to) = &self.to else { unreachable!("rows of bfloat16 numbers") };
        // SAFETY: the caller's guarantee.
        unsafe { to.part(row * self.stride + column, count) }
    }

    /// Writes elements of a row from `column` on. `numbers` are already rounded to `dtype`.
    ///
    /// # Safety
    /// Meanwhile nothing else writes these elements.
    #[inline]
    pub unsafe fn write(&self, vector: Vector, dtype: Dtype, row: usize, column: usize, numbers: &[f32]) {
        let (start, count) = (row * self.stride, numbers.len());
        // SAFETY: the caller's guarantee.
        unsafe {
            match &self.to {
                To::F32(to) => to.part(start + column, count).copy_from_slice(numbers),
                To::Bf16(to) => to_bf16(vector, dtype, numbers, to.part(start + column, count)),
                To::Bf16x3(to) => {
                    const BLOCK: usize = PARTS * TILE_K;
                    let is_aligned = column.is_multiple_of(TILE_K);
                    let whole = if is_aligned { count / TILE_K * TILE_K } else { 0 };
                    let (blocks, rest) = numbers.split_at(whole);
                    split_row(vector, blocks, to.part(start + column / TILE_K * BLOCK, whole * PARTS));
                    // Other jobs may be writing to these blocks, so elements are written one by one.
                    for (column, x) in (column + whole..).zip(rest) {
                        let at = start + column / TILE_K * BLOCK + column % TILE_K;
                        for (part, number) in split(*x).into_iter().enumerate() {
                            to.part(at + part * TILE_K, 1)[0] = number;
                        }
                    }
                }
            }
        }
    }
}

/// Copies the given rows, in the order of `rows`.
fn gather<T: Copy + Send + Sync>(to: &mut [T], from: &[T], stride: usize, rows: &[u32]) {
    team::for_each_chunk(&mut to[..stride * rows.len()], stride.max(1), |number, to| {
        to.copy_from_slice(&from[rows[number] as usize * stride..][..stride]);
    });
}

//! A tensor in its file, read in pieces from any thread and converted while it is read.

use std::ops::Range;

use super::encoding::Encoding;
use super::error::WeightsError;
use super::gguf_value::GgufError;
use super::numbers::Numbers;
use super::weight_file::WeightFile;
use crate::kernels::dtype::Dtype;

/// A tensor that was found in the requested shape.
pub struct StoredTensor<'a> {
    pub file: &'a WeightFile,
    /// The name in the file.
    pub name: String,
    pub encoding: Encoding,
    /// Offset of its first byte in the file.
    pub start: u64,
    pub rows: usize,
    /// Values per row.
    pub width: usize,
    /// Width of the heads if their rows are stored in pairs, see
    /// [`Architecture::gguf_has_paired_rows`](crate::model::config::architecture::Architecture::gguf_has_paired_rows).
    pub paired_heads: Option<usize>,
}

/// Scratch memory of conversions, reused for each piece.
#[derive(Default)]
pub struct Scratch {
    stored: Vec<u8>,
    numbers: Vec<f32>,
}

impl StoredTensor<'_> {
    /// Reads columns of some rows as little-endian values of format `dtype`, row-major, into `to`, which has
    /// exactly their size. Columns begin at a multiple of [`WHOLE_BLOCKS`], and end at one or at the end of
    /// the row.
    pub fn read(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        dtype: Dtype,
        scratch: &mut Scratch,
        to: &mut [u8],
    ) -> Result<(), WeightsError> {
        if self.encoding.is_plain(dtype) {
            return self.read_stored(rows, columns, to);
        }
        let Scratch { stored, numbers } = scratch;
        stored.resize(rows.len() * self.encoding.bytes(columns.len()), 0);
        self.read_stored(rows, columns, stored)?;
        self.encoding.read(stored, numbers).map_err(|reason| GgufError::Damaged {
            path: self.file.path().to_owned(),
            what: format!("tensor `{}` cannot be dequantised: {reason}", self.name),
        })?;
        dtype.write(numbers, to);
        Ok(())
    }

    /// Like [`read`](Self::read), without conversion.
    fn read_stored(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        to: &mut [u8],
    ) -> Result<(), WeightsError> {
        let stride = self.encoding.bytes(self.width) as u64;
        let at = |row: usize| self.start + row as u64 * stride + self.encoding.bytes(columns.start) as u64;
        if columns.len() == self.width && self.paired_heads.is_none() {
            return Ok(self.file.read(at(rows.start), to)?);
        }
        let bytes = self.encoding.bytes(columns.len());
        for (row, to) in rows.zip(to.chunks_mut(bytes.max(1))) {
            self.file.read(at(self.stored_row(row)), to)?;
        }
        Ok(())
    }

    /// The index at which a row is stored.
    fn stored_row(&self, row: usize) -> usize {
        let Some(head_dim) = self.paired_heads else { return row };
        let (head, within) = (row / head_dim, row % head_dim);
        let (half, i) = (within / (head_dim / 2), within % (head_dim / 2));
        head * head_dim + 2 * i + half
    }

    /// All values, in the format `dtype`.
    pub fn numbers(&self, dtype: Dtype) -> Result<Numbers, WeightsError> {
        const PIECE: usize = 1 << 16;
        let count = self.rows * self.width;
        let mut numbers = Numbers::with_capacity(dtype, count).map_err(|error| WeightsError::Memory {
            path: self.file.path().to_owned(),
            tensor: self.name.clone(),
            reason: error.to_string(),
        })?;
        let (mut scratch, mut piece) = (Scratch::default(), Vec::new());
        let step = (PIECE / self.width.max(1)).max(1);
        for first in (0..self.rows).step_by(step) {
            let rows = first..(first + step).min(self.rows);
            piece.resize(rows.len() * self.width * dtype.size(), 0);
            self.read(rows, 0..self.width, dtype, &mut scratch, &mut piece)?;
            numbers.push_bytes(&piece);
        }
        Ok(numbers)
    }
}

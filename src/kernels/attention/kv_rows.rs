//! Keys and values of a segment in one layer, row by row.

use std::ops::Range;

use crate::kernels::dtype::Dtype;
use crate::kernels::elementwise::to_bytes;
use crate::kernels::isa::Vector;

/// How a model's keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    pub kv_heads: usize,
    pub head_dim: usize,
    pub dtype: Dtype,
}

impl KvShape {
    /// Bytes per element.
    pub fn size(self) -> usize {
        self.dtype.size()
    }

    /// Bytes of the keys, or of the values, of a position in all heads.
    pub fn row_bytes(self) -> usize {
        self.kv_heads * self.head_dim * self.size()
    }
}

/// Keys and values, each `[position][kv_heads][head_dim]`.
#[derive(Default)]
pub struct KvRows {
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl KvRows {
    /// Appends `count` rows after the first `length`; `row` returns the keys and the values of a row, of all
    /// heads.
    pub fn append<'a>(
        &mut self,
        vector: Vector,
        shape: KvShape,
        length: usize,
        count: usize,
        row: impl Fn(usize) -> (&'a [f32], &'a [f32]),
    ) {
        // Rows left by a failed pass are overwritten.
        self.truncate(shape, length);
        let bytes = shape.row_bytes();
        for cached in [&mut self.keys, &mut self.values] {
            reserve(cached, count, bytes);
            cached.resize((length + count) * bytes, 0);
        }
        let rows = length * bytes..;
        let keys = self.keys[rows.clone()].chunks_exact_mut(bytes.max(1));
        let values = self.values[rows].chunks_exact_mut(bytes.max(1));
        for (position, (key, value)) in keys.zip(values).enumerate() {
            let (keys, values) = row(position);
            to_bytes(vector, shape.dtype, keys, key);
            to_bytes(vector, shape.dtype, values, value);
        }
    }

    /// Drops all positions from `length` on.
    pub fn truncate(&mut self, shape: KvShape, length: usize) {
        self.keys.truncate(length * shape.row_bytes());
        self.values.truncate(length * shape.row_bytes());
    }

    /// The key of a position in one head.
    pub fn key(&self, shape: KvShape, position: usize, head: usize) -> &[u8] {
        Self::head(&self.keys, shape, position, head)
    }

    /// The value of a position in one head.
    pub fn value(&self, shape: KvShape, position: usize, head: usize) -> &[u8] {
        Self::head(&self.values, shape, position, head)
    }

    /// The values of consecutive positions in one head, [`KvShape::row_bytes`] apart.
    pub fn values(&self, shape: KvShape, positions: Range<usize>, head: usize) -> &[u8] {
        let width = shape.head_dim * shape.size();
        let first = positions.start * shape.row_bytes() + head * width;
        &self.values[first..(positions.end - 1) * shape.row_bytes() + (head + 1) * width]
    }

    #[inline(always)]
    fn head(bytes: &[u8], shape: KvShape, position: usize, head: usize) -> &[u8] {
        let width = shape.head_dim * shape.size();
        &bytes[position * shape.row_bytes() + head * width..][..width]
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() + self.values.capacity()
    }
}

/// Reserves memory for rows. An active generation grows by one or a few rows per pass: reserving a few more
/// avoids copies, without holding much memory that the kv budget does not count.
fn reserve(bytes: &mut Vec<u8>, rows: usize, row: usize) {
    const AHEAD: usize = 16;
    if bytes.capacity() - bytes.len() < rows * row {
        let rows = if rows == 1 || !bytes.is_empty() { rows.max(AHEAD) } else { rows };
        bytes.reserve_exact(rows * row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;

    #[test]
    fn rows_are_the_same_however_they_came() {
        let shape = KvShape { kv_heads: 2, head_dim: 6, dtype: Dtype::Bf16 };
        let number = |row: usize, d: usize| half::bf16::from_bits((0x3f80 + row * 12 + d) as u16);
        let rows: Vec<Vec<f32>> =
            (0..50).map(|row| (0..12).map(|d| number(row, d).to_f32()).collect()).collect();
        let negated: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|x| -x).collect()).collect();
        let append = |cached: &mut KvRows, from: usize, count: usize| {
            let row = |row: usize| (&*rows[from + row], &*negated[from + row]);
            cached.append(Isa::best().vector, shape, from, count, row);
        };
        let mut grown = KvRows::default();
        for (from, count) in [(0, 5), (5, 1), (6, 30), (20, 9), (29, 1), (30, 20)] {
            append(&mut grown, from, count);
            for position in 0..from + count {
                for head in 0..2 {
                    let bytes = |sign: u16| -> Vec<u8> {
                        (0..6)
                            .flat_map(|d| (number(position, head * 6 + d).to_bits() | sign).to_ne_bytes())
                            .collect()
                    };
                    assert_eq!(grown.key(shape, position, head), bytes(0));
                    assert_eq!(grown.value(shape, position, head), bytes(0x8000));
                }
            }
        }
        grown.truncate(shape, 3);
        assert_eq!(grown.keys.len(), 3 * shape.row_bytes());
    }
}

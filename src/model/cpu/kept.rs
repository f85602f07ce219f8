//! Keys and values of a segment in one layer, as the attention kernels read them.

use super::vector::{Format, UNIT};
use crate::model::Dtype;

/// How a model's keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptShape {
    pub kv_heads: usize,
    pub head_dim: usize,
    pub dtype: Dtype,
}

impl KeptShape {
    pub fn format(self) -> Format {
        match self.dtype {
            Dtype::F32 => Format::F32,
            Dtype::Bf16 => Format::Bf16,
            Dtype::F16 => Format::F16,
        }
    }

    /// Bytes of a number.
    pub fn size(self) -> usize {
        self.dtype.size()
    }

    /// Numbers of a value, filled up to whole units.
    pub fn value_width(self) -> usize {
        self.head_dim.next_multiple_of(UNIT)
    }

    /// Bytes of the keys of one place in all heads.
    fn key_bytes(self) -> usize {
        self.kv_heads * self.head_dim * self.size()
    }

    /// Bytes of a value in all heads.
    pub fn value_bytes(self) -> usize {
        self.kv_heads * self.value_width() * self.size()
    }

    /// Bytes of a unit of 16 keys in all heads.
    pub fn key_unit_bytes(self) -> usize {
        UNIT * self.key_bytes()
    }
}

/// Keys by units of 16, `[unit][kv_heads][head_dim][16]`, the last unit only as wide as it is full; values by place,
/// `[place][kv_heads][value_width]`.
#[derive(Default)]
pub struct KeptRows {
    length: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl KeptRows {
    /// Appends `count` rows behind the first `length`; `key` and `value` give a head's numbers of a row.
    pub fn append<'a>(
        &mut self,
        shape: KeptShape,
        length: usize,
        count: usize,
        key: impl Fn(usize, usize) -> &'a [f32],
        value: impl Fn(usize, usize) -> &'a [f32],
    ) {
        // What a failed pass left is overwritten.
        self.truncate(shape, length);
        let total = length + count;
        reserve(&mut self.keys, count, shape.key_bytes());
        let full = length / UNIT * UNIT;
        let tail = self.keys.split_off(full * shape.key_bytes());
        let old_width = length - full;
        for start in (full..total).step_by(UNIT) {
            let width = UNIT.min(total - start);
            for head in 0..shape.kv_heads {
                let unit = self.keys.len();
                self.keys.resize(unit + shape.head_dim * width * shape.size(), 0);
                let unit = &mut self.keys[unit..];
                for place in start..start + width {
                    let column = place - start;
                    if place < length {
                        for d in 0..shape.head_dim {
                            let from = ((head * shape.head_dim + d) * old_width + column) * shape.size();
                            let to = (d * width + column) * shape.size();
                            unit[to..to + shape.size()].copy_from_slice(&tail[from..from + shape.size()]);
                        }
                        continue;
                    }
                    for (d, &x) in key(place - length, head).iter().enumerate() {
                        put(shape.dtype, unit, d * width + column, x);
                    }
                }
            }
        }
        let more = count * shape.value_bytes();
        reserve(&mut self.values, count, shape.value_bytes());
        let at = self.values.len();
        self.values.resize(at + more, 0);
        for (row, values) in self.values[at..].chunks_mut(shape.value_bytes().max(1)).enumerate() {
            for head in 0..shape.kv_heads {
                for (d, &x) in value(row, head).iter().enumerate() {
                    put(shape.dtype, values, head * shape.value_width() + d, x);
                }
            }
        }
        self.length = total;
    }

    /// Forgets all places from `length` on.
    pub fn truncate(&mut self, shape: KeptShape, length: usize) {
        if self.length <= length {
            return;
        }
        let full = length / UNIT * UNIT;
        let (width, old_width) = (length - full, UNIT.min(self.length - full));
        let tail = self.keys.split_off(full * shape.key_bytes());
        for line in 0..shape.kv_heads * shape.head_dim {
            let from = line * old_width * shape.size();
            self.keys.extend_from_slice(&tail[from..from + width * shape.size()]);
        }
        self.values.truncate(length * shape.value_bytes());
        self.length = length;
    }

    /// The unit of keys from place `16 * unit` on in one head: its bytes, and how many keys wide it is.
    pub fn keys(&self, shape: KeptShape, unit: usize, head: usize) -> (&[u8], usize) {
        let width = UNIT.min(self.length - unit * UNIT);
        let bytes = shape.head_dim * width * shape.size();
        (&self.keys[unit * shape.key_unit_bytes() + head * bytes..][..bytes], width)
    }

    /// Values of one head from `place` on.
    pub fn values(&self, shape: KeptShape, place: usize, head: usize) -> &[u8] {
        &self.values[place * shape.value_bytes() + head * shape.value_width() * shape.size()..]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() + self.values.capacity()
    }
}

/// Makes room for rows. A text in the making grows by a row a pass, or some: a few more spare it the copies, without holding much
/// that the bound on keys and values does not count.
fn reserve(bytes: &mut Vec<u8>, rows: usize, row: usize) {
    const AHEAD: usize = 16;
    if bytes.capacity() - bytes.len() < rows * row {
        let rows = if rows == 1 || !bytes.is_empty() { rows.max(AHEAD) } else { rows };
        bytes.reserve_exact(rows * row);
    }
}

/// Writes number `place` of a run in the wanted format; it is of that format already.
fn put(dtype: Dtype, bytes: &mut [u8], place: usize, x: f32) {
    let to = &mut bytes[place * dtype.size()..][..dtype.size()];
    match dtype {
        Dtype::F32 => to.copy_from_slice(&x.to_ne_bytes()),
        Dtype::Bf16 => to.copy_from_slice(&((x.to_bits() >> 16) as u16).to_ne_bytes()),
        Dtype::F16 => to.copy_from_slice(&half::f16::from_f32(x).to_bits().to_ne_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys and values read back, place by place.
    fn read(shape: KeptShape, kept: &KeptRows, length: usize) -> Vec<(Vec<u16>, Vec<u16>)> {
        let bits = |bytes: &[u8], at: usize| u16::from_ne_bytes([bytes[2 * at], bytes[2 * at + 1]]);
        let place = |place: usize| {
            let mut both = (Vec::new(), Vec::new());
            for head in 0..shape.kv_heads {
                let (keys, width) = kept.keys(shape, place / UNIT, head);
                let values = kept.values(shape, place, head);
                for d in 0..shape.head_dim {
                    both.0.push(bits(keys, d * width + place % UNIT));
                    both.1.push(bits(values, d));
                }
            }
            both
        };
        (0..length).map(place).collect()
    }

    #[test]
    fn rows_are_the_same_however_they_came() {
        let shape = KeptShape { kv_heads: 2, head_dim: 6, dtype: Dtype::Bf16 };
        let number = |row: usize, d: usize| half::bf16::from_bits((0x3f80 + row * 12 + d) as u16);
        let rows: Vec<Vec<f32>> =
            (0..50).map(|row| (0..12).map(|d| number(row, d).to_f32()).collect()).collect();
        let append = |kept: &mut KeptRows, from: usize, count: usize| {
            let head = |row: usize, head: usize| &rows[from + row][head * 6..head * 6 + 6];
            kept.append(shape, from, count, head, head);
        };
        let mut whole = KeptRows::default();
        append(&mut whole, 0, 50);
        let expected = read(shape, &whole, 50);
        assert_eq!(expected[17].0, (0..12).map(|d| number(17, d).to_bits()).collect::<Vec<_>>());
        let mut grown = KeptRows::default();
        for (from, count) in [(0, 5), (5, 1), (6, 30), (20, 9), (29, 1), (30, 20)] {
            append(&mut grown, from, count);
            assert_eq!(read(shape, &grown, from + count), expected[..from + count]);
        }
    }
}

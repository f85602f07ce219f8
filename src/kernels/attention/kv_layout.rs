//! Cached keys and values of a pass's ranges, packed in the layout that kernels take.

use std::cell::RefCell;

use super::groups::{KV_BLOCK, KvLayout, KvRange};
use super::interleave;
use super::kv_rows::{KvRows, KvShape};
use crate::kernels::dtype::Dtype;
use crate::kernels::elementwise::from_bytes;
use crate::kernels::gemm::bf16x3::{PARTS, split_row};
use crate::kernels::isa::Vector;
use crate::kernels::layout::{LANES, NR};
use crate::kernels::memory::{Aligned, NoMemory, Number, Shared, bytes_of};
use crate::kernels::team;
use crate::kernels::transpose::transpose_numbers;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrValue {
    Keys,
    Values,
}

/// Packed keys and values of ranges, head by head within a range, zero beyond a range's end. One serves all
/// layers and passes, so that its memory is reused.
pub struct PackedKv {
    bf16: [Aligned<u16>; 2],
    f32: [Aligned<f32>; 2],
    layout: KvLayout,
    shape: KvShape,
}

/// Blocks that a job packs, at most.
const BLOCKS: usize = 8;

/// Elements of a value row of one head, padded to whole panels.
pub fn value_width(shape: KvShape) -> usize {
    shape.head_dim.next_multiple_of(NR)
}

/// The keys or values of one head over a range.
#[derive(Clone, Copy)]
pub struct KvSource<'a> {
    pub vector: Vector,
    pub shape: KvShape,
    pub range: &'a KvRange<'a>,
    pub head: usize,
}

/// Packs a block of keys or values.
type PackKv<T> = fn(&KvSource<'_>, usize, &mut [T]);

impl PackedKv {
    /// Without packed ranges.
    pub fn new(shape: KvShape) -> Result<Self, NoMemory> {
        let (bf16, f32) = (|| Aligned::zeros(0), || Aligned::zeros(0));
        Ok(Self { bf16: [bf16()?, bf16()?], f32: [f32()?, f32()?], layout: KvLayout::F32, shape })
    }

    /// Packs the ranges that all jobs share, `positions` positions in total.
    pub fn fill(
        &mut self,
        layout: KvLayout,
        vector: Vector,
        shape: KvShape,
        ranges: &[KvRange<'_>],
        positions: usize,
    ) -> Result<(), NoMemory> {
        let jobs: Vec<Job<'_>> = ranges
            .iter()
            .filter_map(|range| Some((range, range.offset?)))
            .flat_map(|(range, offset)| {
                let blocks = (0..range.length / KV_BLOCK).step_by(BLOCKS);
                blocks.flat_map(move |block| {
                    (0..shape.kv_heads).map(move |head| {
                        let offset = offset * shape.kv_heads + head * range.length;
                        Job { source: KvSource { vector, shape, range, head }, offset, block }
                    })
                })
            })
            .collect();
        (self.layout, self.shape) = (layout, shape);
        let count = positions * shape.kv_heads;
        for kv in [KeyOrValue::Keys, KeyOrValue::Values] {
            let width = self.width(kv);
            match layout {
                KvLayout::Tiles | KvLayout::Bf16Pairs => {
                    pack_all(self.pack_bf16(kv), &jobs, width, count, &mut self.bf16[kv as usize])?;
                }
                KvLayout::F32 => pack_all(pack_f32(kv), &jobs, width, count, &mut self.f32[kv as usize])?,
            }
        }
        Ok(())
    }

    /// Elements of a position of one head.
    fn width(&self, kv: KeyOrValue) -> usize {
        match (self.layout, kv) {
            (KvLayout::Tiles, _) => self.shape.head_dim * parts_of(self.shape),
            (_, KeyOrValue::Keys) => self.shape.head_dim,
            (_, KeyOrValue::Values) => value_width(self.shape),
        }
    }

    fn pack_bf16(&self, kv: KeyOrValue) -> PackKv<u16> {
        match (self.layout, kv) {
            (KvLayout::Bf16Pairs, KeyOrValue::Keys) => pair_keys,
            (KvLayout::Bf16Pairs, KeyOrValue::Values) => pair_values,
            (_, KeyOrValue::Keys) => tile_keys,
            (_, KeyOrValue::Values) => tile_values,
        }
    }

    /// Keys or values as [`KvLayout::Tiles`] or [`KvLayout::Bf16Pairs`]; those of a range that is not shared
    /// are packed into `scratch`.
    pub fn bf16<'s>(&'s self, kv: KeyOrValue, source: &KvSource<'_>, scratch: &'s mut [u16]) -> &'s [u16] {
        self.packed(&self.bf16[kv as usize], self.pack_bf16(kv), self.width(kv), source, scratch)
    }

    /// Like [`PackedKv::bf16`], as [`KvLayout::F32`].
    pub fn f32<'s>(&'s self, kv: KeyOrValue, source: &KvSource<'_>, scratch: &'s mut [f32]) -> &'s [f32] {
        self.packed(&self.f32[kv as usize], pack_f32(kv), self.width(kv), source, scratch)
    }

    fn packed<'s, T: Number>(
        &self,
        all: &'s [T],
        pack: PackKv<T>,
        width: usize,
        source: &KvSource<'_>,
        scratch: &'s mut [T],
    ) -> &'s [T] {
        let range = source.range;
        if let Some(offset) = range.offset {
            let offset = offset * self.shape.kv_heads + source.head * range.length;
            return &all[offset * width..(offset + range.length) * width];
        }
        let scratch = &mut scratch[..range.length * width];
        for (block, to) in scratch.chunks_exact_mut(KV_BLOCK * width).enumerate() {
            pack(source, block, to);
        }
        scratch
    }
}

/// Blocks of one head of a shared range, from `block` on. `offset` counts the positions of single heads
/// packed before that head's first.
struct Job<'a> {
    source: KvSource<'a>,
    offset: usize,
    block: usize,
}

fn pack_all<T: Number>(
    pack: PackKv<T>,
    jobs: &[Job<'_>],
    width: usize,
    count: usize,
    to: &mut Aligned<T>,
) -> Result<(), NoMemory> {
    to.grow(count * width)?;
    let to = Shared::new(to);
    team::for_each(jobs.len(), |job| {
        let Job { source, offset, block: first } = &jobs[job];
        for block in *first..(first + BLOCKS).min(source.range.length / KV_BLOCK) {
            // SAFETY: the blocks of all heads and ranges don't overlap.
            let to = unsafe { to.part((offset + block * KV_BLOCK) * width, KV_BLOCK * width) };
            pack(source, block, to);
        }
    });
    Ok(())
}

fn pack_f32(kv: KeyOrValue) -> PackKv<f32> {
    match kv {
        KeyOrValue::Keys => f32_keys,
        KeyOrValue::Values => f32_values,
    }
}

/// Parts of an element in [`KvLayout::Tiles`].
fn parts_of(shape: KvShape) -> usize {
    if shape.dtype == Dtype::F32 { PARTS } else { 1 }
}

/// The key or value row of a position in a head.
type RowOf = fn(&KvRows, KvShape, usize, usize) -> &[u8];

impl<'a> KvSource<'a> {
    /// Values at positions before `end` as they lie in the cache, if products can take them from there: for
    /// each run of positions its length, and the values from its first position on, [`KvShape::row_bytes`]
    /// apart.
    pub fn values_in_place(self, end: usize) -> Option<impl Iterator<Item = (usize, &'a [u8])>> {
        let Self { shape, range, head, .. } = self;
        let is_fit =
            range.offset.is_none() && shape.dtype == Dtype::F32 && value_width(shape) == shape.head_dim;
        let runs = range.spans.iter().filter_map(move |span| {
            let positions = span.start.max(range.first)..(span.start + span.length).min(end);
            let first = positions.start - span.start;
            (!positions.is_empty())
                .then(|| (positions.len(), span.rows.values(shape, first..first + positions.len(), head)))
        });
        is_fit.then_some(runs)
    }

    /// Calls `work` with each position of a block that has a row, counted from the block's first, and the row.
    fn for_each_row(&self, block: usize, row_of: RowOf, mut work: impl FnMut(usize, &'a [u8])) {
        let first = self.range.first + block * KV_BLOCK;
        for span in &self.range.spans {
            for position in span.start.max(first)..(span.start + span.length).min(first + KV_BLOCK) {
                work(position - first, row_of(span.rows, self.shape, position - span.start, self.head));
            }
        }
    }

    /// A block's rows, empty at positions beyond the range.
    fn rows(&self, block: usize, row_of: RowOf) -> [&'a [u8]; KV_BLOCK] {
        const NOTHING: &[u8] = &[];
        let mut rows = [NOTHING; KV_BLOCK];
        self.for_each_row(block, row_of, |position, row| rows[position] = row);
        rows
    }

    /// A block's rows in single precision, one after another, zero at positions beyond the range.
    fn f32_rows(&self, block: usize, row_of: RowOf, to: &mut [f32]) {
        let width = to.len() / KV_BLOCK;
        let mut filled = 0;
        self.for_each_row(block, row_of, |position, row| {
            from_bytes(self.vector, self.shape.dtype, row, &mut to[position * width..][..width]);
            filled = position + 1;
        });
        // Spans have no gaps and begin at or before the range, so rows are missing at its end only.
        to[filled * width..].fill(0.0);
    }
}

fn tile_keys(source: &KvSource<'_>, block: usize, to: &mut [u16]) {
    let (shape, width) = (source.shape, source.shape.head_dim);
    if shape.dtype == Dtype::F32 {
        return with_row_scratch(KV_BLOCK * width, |rows| {
            source.f32_rows(block, KvRows::key, rows);
            split_row(source.vector, rows, to);
        });
    }
    let mut filled = 0;
    source.for_each_row(block, KvRows::key, |position, row| {
        let key = to[position * width..][..width].iter_mut();
        key.zip(row.as_chunks::<2>().0).for_each(|(to, bytes)| *to = u16::from_ne_bytes(*bytes));
        filled = position + 1;
    });
    to[filled * width..].fill(0);
}

fn tile_values(source: &KvSource<'_>, block: usize, to: &mut [u16]) {
    let (vector, width) = (source.vector, source.shape.head_dim);
    if source.shape.dtype == Dtype::F32 {
        return with_row_scratch(2 * KV_BLOCK * width, |scratch| {
            let (rows, columns) = scratch.split_at_mut(KV_BLOCK * width);
            source.f32_rows(block, KvRows::value, rows);
            transpose_numbers(vector, rows, columns);
            split_row(vector, columns, to);
        });
    }
    interleave::to_columns(vector, &source.rows(block, KvRows::value), to);
}

fn pair_keys(source: &KvSource<'_>, block: usize, to: &mut [u16]) {
    interleave::to_pair_columns(source.vector, &source.rows(block, KvRows::key), to);
}

fn pair_values(source: &KvSource<'_>, block: usize, to: &mut [u16]) {
    interleave::to_pair_rows(source.vector, &source.rows(block, KvRows::value), to);
}

fn f32_keys(source: &KvSource<'_>, block: usize, to: &mut [f32]) {
    let width = source.shape.head_dim;
    let mut to_blocks_of_16 = |rows: &[&[u8]; KV_BLOCK]| {
        for (rows, to) in rows.as_chunks().0.iter().zip(to.chunks_exact_mut(LANES * width)) {
            interleave::to_f32_columns(source.vector, rows, to);
        }
    };
    if source.shape.dtype == Dtype::F32 {
        return to_blocks_of_16(&source.rows(block, KvRows::key));
    }
    with_row_scratch(KV_BLOCK * width, |rows| {
        source.f32_rows(block, KvRows::key, rows);
        let bytes = bytes_of(rows);
        let row_bytes = bytes.len() / KV_BLOCK;
        to_blocks_of_16(&std::array::from_fn(|row| &bytes[row * row_bytes..][..row_bytes]));
    });
}

fn f32_values(source: &KvSource<'_>, block: usize, to: &mut [f32]) {
    let (shape, width) = (source.shape, value_width(source.shape));
    let mut filled = 0;
    source.for_each_row(block, KvRows::value, |position, row| {
        let (value, rest) = to[position * width..][..width].split_at_mut(shape.head_dim);
        from_bytes(source.vector, shape.dtype, row, value);
        rest.fill(0.0);
        filled = position + 1;
    });
    to[filled * width..].fill(0.0);
}

/// Like [`with_scratch`](crate::kernels::memory::with_scratch), in separate memory that is not aligned to
/// cache lines.
fn with_row_scratch(length: usize, work: impl FnOnce(&mut [f32])) {
    thread_local! {
        static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    ROWS.with_borrow_mut(|rows| {
        if rows.len() < length {
            rows.resize(length, 0.0);
        }
        work(&mut rows[..length]);
    });
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use half::bf16;

    use super::*;
    use crate::kernels::attention::groups::KvSpan;
    use crate::kernels::isa::Isa;

    const HEADS: usize = 2;

    /// Element `d` of the key or value at a position of a head, with few bits, so that every format
    /// represents it exactly. Zero beyond the last position.
    fn number(kv: KeyOrValue, positions: usize, position: usize, head: usize, d: usize) -> f32 {
        let number = (position * 31 + head * 7 + d * 3) % 251 + 1;
        let sign = if kv == KeyOrValue::Keys { 1.0 } else { -1.0 };
        if position < positions { sign * number as f32 } else { 0.0 }
    }

    fn cached(vector: Vector, shape: KvShape, positions: Range<usize>) -> KvRows {
        let line = |kv: KeyOrValue, position: usize| -> Vec<f32> {
            (0..HEADS * shape.head_dim)
                .map(|at| number(kv, usize::MAX, position, at / shape.head_dim, at % shape.head_dim))
                .collect()
        };
        let lines: Vec<_> = positions
            .map(|position| (line(KeyOrValue::Keys, position), line(KeyOrValue::Values, position)))
            .collect();
        let mut rows = KvRows::default();
        rows.append(vector, shape, 0, lines.len(), |row| (&lines[row].0, &lines[row].1));
        rows
    }

    /// Index of an element of a range in a layout; if it has parts, of the first part.
    fn at(layout: KvLayout, shape: KvShape, kv: KeyOrValue, position: usize, d: usize) -> usize {
        let (width, parts, values) = (shape.head_dim, parts_of(shape), value_width(shape));
        let (block, in_block) = (position / KV_BLOCK, position % KV_BLOCK);
        match (layout, kv) {
            (KvLayout::Tiles, KeyOrValue::Keys) => (position * width + d / 32 * 32) * parts + d % 32,
            (KvLayout::Tiles, KeyOrValue::Values) => (block * width + d) * parts * KV_BLOCK + in_block,
            (KvLayout::F32, KeyOrValue::Keys) => (position / LANES * width + d) * LANES + position % LANES,
            (KvLayout::F32, KeyOrValue::Values) => position * values + d,
            (KvLayout::Bf16Pairs, KeyOrValue::Keys) => {
                ((block * width / 2 + d / 2) * KV_BLOCK + in_block) * 2 + d % 2
            }
            (KvLayout::Bf16Pairs, KeyOrValue::Values) => (position / 2 * values + d) * 2 + position % 2,
        }
    }

    #[test]
    fn numbers_stand_where_their_order_says_shared_or_not() {
        let positions = 75;
        let cases = [
            (KvLayout::Tiles, Dtype::Bf16, 64),
            (KvLayout::Tiles, Dtype::F32, 32),
            (KvLayout::F32, Dtype::F32, 64),
            (KvLayout::F32, Dtype::F32, 24),
            (KvLayout::F32, Dtype::F16, 40),
            (KvLayout::Bf16Pairs, Dtype::Bf16, 64),
            (KvLayout::Bf16Pairs, Dtype::Bf16, 40),
        ];
        for (layout, dtype, head_dim) in cases {
            let shape = KvShape { kv_heads: HEADS, head_dim, dtype };
            for vector in Isa::vectors() {
                let cached = [0..40, 40..positions].map(|range| (range.start, cached(vector, shape, range)));
                let spans: Vec<KvSpan<'_>> = cached
                    .iter()
                    .map(|(start, rows)| KvSpan {
                        start: *start,
                        length: if *start == 0 { 40 } else { 35 },
                        rows,
                    })
                    .collect();
                // The shared range is packed behind another; the other one begins within the positions
                // attended to.
                for (first, shared) in [(0, Some(32)), (32, None)] {
                    let length = (positions - first).next_multiple_of(KV_BLOCK);
                    let range = KvRange { first, length, offset: shared, spans: spans.clone() };
                    let mut packed = PackedKv::new(shape).unwrap();
                    packed.fill(layout, vector, shape, std::slice::from_ref(&range), 32 + length).unwrap();
                    for kv in [KeyOrValue::Keys, KeyOrValue::Values] {
                        for head in 0..HEADS {
                            let source = KvSource { vector, shape, range: &range, head };
                            let mut own = vec![f32::NAN; length * value_width(shape) * PARTS];
                            let found: Vec<f32> = match layout {
                                KvLayout::F32 => packed.f32(kv, &source, &mut own).to_vec(),
                                KvLayout::Tiles | KvLayout::Bf16Pairs => {
                                    let own = crate::kernels::memory::halves(&mut own);
                                    let numbers = packed.bf16(kv, &source, own);
                                    numbers.iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect()
                                }
                            };
                            for (position, d) in
                                (0..length).flat_map(|position| (0..head_dim).map(move |d| (position, d)))
                            {
                                let expected = number(kv, positions, first + position, head, d);
                                let found = found[at(layout, shape, kv, position, d)];
                                assert_eq!(
                                    found, expected,
                                    "{layout:?} {dtype} {vector:?} {kv:?}, position {position}, number {d}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

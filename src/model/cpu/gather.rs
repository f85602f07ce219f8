//! Kept keys and values of a pass's parts, brought into the order in which kernels take them.

use std::cell::RefCell;
use std::ops::Range;

use super::attention::{BLOCK, Part, Seen};
use super::columns;
use super::isa::Vector;
use super::kept::{KeptRows, KeptShape};
use super::memory::{Aligned, NoMemory, Shared};
use super::rows::from_bytes;
use super::split::{PARTS, split_row};
use super::team;
use super::transpose::transpose_numbers;
use super::vector::UNIT;
use crate::model::Dtype;

/// Orders of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// bfloat16: keys `[place][head_dim]`, values by blocks of 32 places, `[block][head_dim][32]`. Single precision in three
    /// parts: keys by blocks of 32 numbers, `[place][block][part][32]`, values `[block][head_dim][part][32]`.
    Tiles,
    /// Single precision: keys by units of 16, `[unit][head_dim][16]`, values `[place][value_width]`.
    Single,
}

/// Keys and values of parts, head by head within a part, zero beyond a part's end. Kept from layer to layer and from pass to
/// pass for its memory.
pub struct Gathered {
    bf16: [Aligned<u16>; 2],
    single: [Aligned<f32>; 2],
    shape: KeptShape,
}

/// Blocks that a job brings into order.
const BLOCKS: usize = 8;

/// Numbers of a value, filled up to whole units.
pub fn value_width(shape: KeptShape) -> usize {
    shape.head_dim.next_multiple_of(UNIT)
}

impl Gathered {
    pub fn new(shape: KeptShape) -> Result<Self, NoMemory> {
        let (bf16, single) = (|| Aligned::zeros(0), || Aligned::zeros(0));
        Ok(Self { bf16: [bf16()?, bf16()?], single: [single()?, single()?], shape })
    }

    /// Gathers `parts`, of `places` places in all.
    pub fn fill(
        &mut self,
        kind: Kind,
        vector: Vector,
        shape: KeptShape,
        parts: &[Part<'_>],
        places: usize,
    ) -> Result<(), NoMemory> {
        let jobs: Vec<(&Part<'_>, usize, usize, usize)> = parts
            .iter()
            .filter_map(|part| Some((part, part.at?)))
            .flat_map(|(part, at)| {
                let blocks = (0..part.places / BLOCK).step_by(BLOCKS);
                blocks.flat_map(move |block| (0..shape.kv_heads).map(move |head| (part, at, head, block)))
            })
            .collect();
        let (keys, values) = (shape.head_dim, value_width(shape));
        let total = places * shape.kv_heads;
        match kind {
            Kind::Tiles => {
                let [k, v] = &mut self.bf16;
                let keys = keys * parts_of(shape);
                k.grow(total * keys)?;
                v.grow(total * keys)?;
                let (k, v) = (Shared::new(k), Shared::new(v));
                team::for_each(jobs.len(), |job| {
                    let (part, at, head, first) = jobs[job];
                    for block in first..(first + BLOCKS).min(part.places / BLOCK) {
                        let at = (at * shape.kv_heads + head * part.places + block * BLOCK) * keys;
                        // SAFETY: each block of each head of each part has places of its own.
                        unsafe {
                            tile_keys(vector, shape, head, part, block, k.part(at, BLOCK * keys));
                            tile_values(vector, shape, head, part, block, v.part(at, BLOCK * keys));
                        }
                    }
                });
            }
            Kind::Single => {
                let [k, v] = &mut self.single;
                k.grow(total * keys)?;
                v.grow(total * values)?;
                let (k, v) = (Shared::new(k), Shared::new(v));
                team::for_each(jobs.len(), |job| {
                    let (part, at, head, first) = jobs[job];
                    for block in first..(first + BLOCKS).min(part.places / BLOCK) {
                        let at = at * shape.kv_heads + head * part.places + block * BLOCK;
                        // SAFETY: as above.
                        unsafe {
                            single_keys(vector, shape, head, part, block, k.part(at * keys, BLOCK * keys));
                            single_values(
                                vector,
                                shape,
                                head,
                                part,
                                block,
                                v.part(at * values, BLOCK * values),
                            );
                        }
                    }
                });
            }
        }
        self.shape = shape;
        Ok(())
    }

    /// Keys of a part in one head, as [`Kind::Tiles`]; those of a part that is not shared are gathered to `scratch`.
    pub fn tile_keys<'s>(
        &'s self,
        vector: Vector,
        part: &Part<'_>,
        head: usize,
        scratch: &'s mut [u16],
    ) -> &'s [u16] {
        let width = self.shape.head_dim * parts_of(self.shape);
        match self.at(part, head, width) {
            Some(of) => &self.bf16[0][of],
            None => {
                for (block, to) in scratch[..part.places * width].chunks_exact_mut(BLOCK * width).enumerate()
                {
                    tile_keys(vector, self.shape, head, part, block, to);
                }
                scratch
            }
        }
    }

    /// The same for values.
    pub fn tile_values<'s>(
        &'s self,
        vector: Vector,
        part: &Part<'_>,
        head: usize,
        scratch: &'s mut [u16],
    ) -> &'s [u16] {
        let width = self.shape.head_dim * parts_of(self.shape);
        match self.at(part, head, width) {
            Some(of) => &self.bf16[1][of],
            None => {
                for (block, to) in scratch[..part.places * width].chunks_exact_mut(BLOCK * width).enumerate()
                {
                    tile_values(vector, self.shape, head, part, block, to);
                }
                scratch
            }
        }
    }

    /// Keys of a part in one head, as [`Kind::Single`]; those of a part that is not shared are gathered to `scratch`.
    pub fn single_keys<'s>(
        &'s self,
        vector: Vector,
        part: &Part<'_>,
        head: usize,
        scratch: &'s mut [f32],
    ) -> &'s [f32] {
        let width = self.shape.head_dim;
        match self.at(part, head, width) {
            Some(of) => &self.single[0][of],
            None => {
                for (block, to) in scratch[..part.places * width].chunks_exact_mut(BLOCK * width).enumerate()
                {
                    single_keys(vector, self.shape, head, part, block, to);
                }
                scratch
            }
        }
    }

    /// The same for values.
    pub fn single_values<'s>(
        &'s self,
        vector: Vector,
        part: &Part<'_>,
        head: usize,
        scratch: &'s mut [f32],
    ) -> &'s [f32] {
        let width = value_width(self.shape);
        match self.at(part, head, width) {
            Some(of) => &self.single[1][of],
            None => {
                for (block, to) in scratch[..part.places * width].chunks_exact_mut(BLOCK * width).enumerate()
                {
                    single_values(vector, self.shape, head, part, block, to);
                }
                scratch
            }
        }
    }

    /// Where a shared part's numbers lie.
    fn at(&self, part: &Part<'_>, head: usize, width: usize) -> Option<Range<usize>> {
        let at = part.at? * self.shape.kv_heads + head * part.places;
        Some(at * width..(at + part.places) * width)
    }
}

/// Calls `row` with each place of a block that holds something, its key or value row and where in it.
fn for_each_row<'p>(part: &'p Part<'_>, block: usize, mut row: impl FnMut(usize, &'p Seen<'p>, usize)) {
    let first = part.first + block * BLOCK;
    for seen in &part.sources {
        for place in seen.start.max(first)..(seen.start + seen.length).min(first + BLOCK) {
            row(place - first, seen, place - seen.start);
        }
    }
}

/// Parts of a number in [`Kind::Tiles`].
fn parts_of(shape: KeptShape) -> usize {
    if shape.dtype == Dtype::F32 { PARTS } else { 1 }
}

fn tile_keys(vector: Vector, shape: KeptShape, head: usize, part: &Part<'_>, block: usize, to: &mut [u16]) {
    let width = shape.head_dim;
    if shape.dtype == Dtype::F32 {
        return with_row_scratch(BLOCK * width, |rows| {
            single_rows(vector, shape, (head, KeptRows::key), part, block, rows);
            split_row(vector, rows, to);
        });
    }
    let mut filled = 0;
    for_each_row(part, block, |place, seen, at| {
        let key = to[place * width..][..width].iter_mut();
        let bytes = seen.rows.key(shape, at, head).as_chunks::<2>().0;
        key.zip(bytes).for_each(|(to, bytes)| *to = u16::from_ne_bytes(*bytes));
        filled = place + 1;
    });
    // Sources have no gaps: they end with the part, and begin before it.
    to[filled * width..].fill(0);
}

fn tile_values(vector: Vector, shape: KeptShape, head: usize, part: &Part<'_>, block: usize, to: &mut [u16]) {
    if shape.dtype == Dtype::F32 {
        let width = shape.head_dim;
        return with_row_scratch(2 * BLOCK * width, |scratch| {
            let (rows, columns) = scratch.split_at_mut(BLOCK * width);
            single_rows(vector, shape, (head, KeptRows::value), part, block, rows);
            transpose_numbers(vector, rows, columns);
            split_row(vector, columns, to);
        });
    }
    const NOTHING: &[u8] = &[];
    let mut rows = [NOTHING; BLOCK];
    for_each_row(part, block, |place, seen, at| rows[place] = seen.rows.value(shape, at, head));
    columns::to_columns(vector, &rows, to);
}

/// The keys or values of a place in a head.
type RowsOf = fn(&KeptRows, KeptShape, usize, usize) -> &[u8];

/// A block's rows in single precision, one after another.
fn single_rows(
    vector: Vector,
    shape: KeptShape,
    (head, bytes): (usize, RowsOf),
    part: &Part<'_>,
    block: usize,
    to: &mut [f32],
) {
    let width = to.len() / BLOCK;
    let mut filled = 0;
    for_each_row(part, block, |place, seen, at| {
        let row = &mut to[place * width..][..width];
        from_bytes(vector, shape.dtype, bytes(seen.rows, shape, at, head), row);
        filled = place + 1;
    });
    to[filled * width..].fill(0.0);
}

fn single_keys(vector: Vector, shape: KeptShape, head: usize, part: &Part<'_>, block: usize, to: &mut [f32]) {
    let width = shape.head_dim;
    with_row_scratch(BLOCK * width, |rows| {
        single_rows(vector, shape, (head, KeptRows::key), part, block, rows);
        for (rows, unit) in rows.chunks_exact(UNIT * width).zip(to.chunks_exact_mut(UNIT * width)) {
            columns::to_unit(vector, rows, width, unit);
        }
    });
}

fn single_values(
    vector: Vector,
    shape: KeptShape,
    head: usize,
    part: &Part<'_>,
    block: usize,
    to: &mut [f32],
) {
    let width = value_width(shape);
    let mut filled = 0;
    for_each_row(part, block, |place, seen, at| {
        let (value, rest) = to[place * width..][..width].split_at_mut(shape.head_dim);
        from_bytes(vector, shape.dtype, seen.rows.value(shape, at, head), value);
        rest.fill(0.0);
        filled = place + 1;
    });
    to[filled * width..].fill(0.0);
}

/// As [`with_scratch`](super::memory::with_scratch), beside it.
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

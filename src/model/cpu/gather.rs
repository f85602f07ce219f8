//! Kept keys and values of a pass's parts, brought into the order in which kernels take them.

use std::cell::RefCell;

use super::attention::{BLOCK, Part, Seen};
use super::columns;
use super::isa::Vector;
use super::kept::{KeptRows, KeptShape};
use super::matrix::PANEL;
use super::memory::{Aligned, NoMemory, Number, Shared, bytes_of};
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
    /// bfloat16, two terms of a sum together: keys by blocks of 32 places, `[block][head_dim / 2][32][2]`, values
    /// `[place / 2][value_width][2]`.
    Pairs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Keys,
    Values,
}

/// Keys and values of parts, head by head within a part, zero beyond a part's end. Kept from layer to layer and from pass to
/// pass for its memory.
pub struct Gathered {
    bf16: [Aligned<u16>; 2],
    single: [Aligned<f32>; 2],
    kind: Kind,
    shape: KeptShape,
}

/// Blocks that a job brings into order.
const BLOCKS: usize = 8;

/// Numbers of a value, filled up to whole panels.
pub fn value_width(shape: KeptShape) -> usize {
    shape.head_dim.next_multiple_of(PANEL)
}

/// Brings a block's keys or values of a head into order.
type Bring<T> = fn(Vector, KeptShape, usize, &Part<'_>, usize, &mut [T]);

impl Gathered {
    pub fn new(shape: KeptShape) -> Result<Self, NoMemory> {
        let (bf16, single) = (|| Aligned::zeros(0), || Aligned::zeros(0));
        Ok(Self { bf16: [bf16()?, bf16()?], single: [single()?, single()?], kind: Kind::Single, shape })
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
        let jobs: Vec<Job<'_>> = parts
            .iter()
            .filter_map(|part| Some((part, part.at?)))
            .flat_map(|(part, at)| {
                let blocks = (0..part.places / BLOCK).step_by(BLOCKS);
                blocks.flat_map(move |block| {
                    (0..shape.kv_heads).map(move |head| {
                        let at = at * shape.kv_heads + head * part.places;
                        Job { part, at, head, block }
                    })
                })
            })
            .collect();
        (self.kind, self.shape) = (kind, shape);
        let room = places * shape.kv_heads;
        for what in [What::Keys, What::Values] {
            let width = self.width(what);
            match kind {
                Kind::Tiles | Kind::Pairs => {
                    let bring = self.bring_bf16(what);
                    bring_all(bring, vector, shape, &jobs, width, room, &mut self.bf16[what as usize])?;
                }
                Kind::Single => {
                    let bring = bring_single(what);
                    bring_all(bring, vector, shape, &jobs, width, room, &mut self.single[what as usize])?;
                }
            }
        }
        Ok(())
    }

    /// Numbers of a place.
    fn width(&self, what: What) -> usize {
        match (self.kind, what) {
            (Kind::Tiles, _) => self.shape.head_dim * parts_of(self.shape),
            (_, What::Keys) => self.shape.head_dim,
            (_, What::Values) => value_width(self.shape),
        }
    }

    fn bring_bf16(&self, what: What) -> Bring<u16> {
        match (self.kind, what) {
            (Kind::Pairs, What::Keys) => pair_keys,
            (Kind::Pairs, What::Values) => pair_values,
            (_, What::Keys) => tile_keys,
            (_, What::Values) => tile_values,
        }
    }

    /// Keys or values of a part in one head, as [`Kind::Tiles`] or [`Kind::Pairs`]; those of a part that is not shared are
    /// gathered to `scratch`.
    pub fn bf16<'s>(
        &'s self,
        what: What,
        vector: Vector,
        part: &Part<'_>,
        head: usize,
        scratch: &'s mut [u16],
    ) -> &'s [u16] {
        let (all, bring) = (&self.bf16[what as usize], self.bring_bf16(what));
        self.of_part(all, bring, what, vector, part, head, scratch)
    }

    /// The same as [`Kind::Single`].
    pub fn single<'s>(
        &'s self,
        what: What,
        vector: Vector,
        part: &Part<'_>,
        head: usize,
        scratch: &'s mut [f32],
    ) -> &'s [f32] {
        let (all, bring) = (&self.single[what as usize], bring_single(what));
        self.of_part(all, bring, what, vector, part, head, scratch)
    }

    #[allow(clippy::too_many_arguments, reason = "what and where, of two kinds of numbers")]
    fn of_part<'s, T: Number>(
        &self,
        all: &'s [T],
        bring: Bring<T>,
        what: What,
        vector: Vector,
        part: &Part<'_>,
        head: usize,
        scratch: &'s mut [T],
    ) -> &'s [T] {
        let width = self.width(what);
        if let Some(at) = part.at {
            let at = at * self.shape.kv_heads + head * part.places;
            return &all[at * width..(at + part.places) * width];
        }
        let scratch = &mut scratch[..part.places * width];
        for (block, to) in scratch.chunks_exact_mut(BLOCK * width).enumerate() {
            bring(vector, self.shape, head, part, block, to);
        }
        scratch
    }
}

/// Blocks of a shared part, from `block` on, and how many places of single heads lie before the part's.
struct Job<'a> {
    part: &'a Part<'a>,
    at: usize,
    head: usize,
    block: usize,
}

fn bring_all<T: Number>(
    bring: Bring<T>,
    vector: Vector,
    shape: KeptShape,
    jobs: &[Job<'_>],
    width: usize,
    room: usize,
    to: &mut Aligned<T>,
) -> Result<(), NoMemory> {
    to.grow(room * width)?;
    let to = Shared::new(to);
    team::for_each(jobs.len(), |job| {
        let Job { part, at, head, block: first } = jobs[job];
        for block in first..(first + BLOCKS).min(part.places / BLOCK) {
            // SAFETY: each block of each head of each part has places of its own.
            let to = unsafe { to.part((at + block * BLOCK) * width, BLOCK * width) };
            bring(vector, shape, head, part, block, to);
        }
    });
    Ok(())
}

fn bring_single(what: What) -> Bring<f32> {
    match what {
        What::Keys => single_keys,
        What::Values => single_values,
    }
}

/// Values of a part's places before `end` where they are kept, if products can take them from there: by runs of places, how many,
/// and the values of a head from the first on, so many bytes apart.
pub fn kept_values<'p>(
    shape: KeptShape,
    part: &'p Part<'_>,
    head: usize,
    end: usize,
) -> Option<impl Iterator<Item = (usize, &'p [u8])>> {
    let is_fit = part.at.is_none() && shape.dtype == Dtype::F32 && value_width(shape) == shape.head_dim;
    let runs = part.sources.iter().filter_map(move |seen| {
        let places = seen.start.max(part.first)..(seen.start + seen.length).min(end);
        let first = places.start - seen.start;
        (!places.is_empty())
            .then(|| (places.len(), seen.rows.values(shape, first..first + places.len(), head)))
    });
    is_fit.then_some(runs)
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
    columns::to_columns(vector, &rows_of(shape, KeptRows::value, head, part, block), to);
}

fn pair_keys(vector: Vector, shape: KeptShape, head: usize, part: &Part<'_>, block: usize, to: &mut [u16]) {
    columns::to_pair_columns(vector, &rows_of(shape, KeptRows::key, head, part, block), to);
}

fn pair_values(vector: Vector, shape: KeptShape, head: usize, part: &Part<'_>, block: usize, to: &mut [u16]) {
    columns::to_pair_rows(vector, &rows_of(shape, KeptRows::value, head, part, block), to);
}

/// A block's rows, empty where there is no place.
fn rows_of<'p>(
    shape: KeptShape,
    bytes: RowsOf,
    head: usize,
    part: &'p Part<'_>,
    block: usize,
) -> [&'p [u8]; BLOCK] {
    const NOTHING: &[u8] = &[];
    let mut rows = [NOTHING; BLOCK];
    for_each_row(part, block, |place, seen, at| rows[place] = bytes(seen.rows, shape, at, head));
    rows
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
    let mut to_units = |rows: &[&[u8]; BLOCK]| {
        for (rows, unit) in rows.as_chunks().0.iter().zip(to.chunks_exact_mut(UNIT * width)) {
            columns::to_unit(vector, rows, unit);
        }
    };
    if shape.dtype == Dtype::F32 {
        return to_units(&rows_of(shape, KeptRows::key, head, part, block));
    }
    with_row_scratch(BLOCK * width, |rows| {
        single_rows(vector, shape, (head, KeptRows::key), part, block, rows);
        let bytes = bytes_of(rows);
        let row_bytes = bytes.len() / BLOCK;
        to_units(&std::array::from_fn(|row| &bytes[row * row_bytes..][..row_bytes]));
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

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use half::bf16;

    use super::*;
    use crate::model::cpu::isa::Isa;

    const HEADS: usize = 2;

    /// The number at a place of a head, of keys or of values; few bits, so that every format holds it. Zero behind the last place.
    fn number(what: What, places: usize, place: usize, head: usize, d: usize) -> f32 {
        let number = (place * 31 + head * 7 + d * 3) % 251 + 1;
        let sign = if what == What::Keys { 1.0 } else { -1.0 };
        if place < places { sign * number as f32 } else { 0.0 }
    }

    fn kept(vector: Vector, shape: KeptShape, places: Range<usize>) -> KeptRows {
        let line = |what: What, place: usize| -> Vec<f32> {
            (0..HEADS * shape.head_dim)
                .map(|at| number(what, usize::MAX, place, at / shape.head_dim, at % shape.head_dim))
                .collect()
        };
        let lines: Vec<_> =
            places.map(|place| (line(What::Keys, place), line(What::Values, place))).collect();
        let mut rows = KeptRows::default();
        rows.append(vector, shape, 0, lines.len(), |row| (&lines[row].0, &lines[row].1));
        rows
    }

    /// Where a number of a part stands in an order, of those of its parts the first.
    fn at(kind: Kind, shape: KeptShape, what: What, place: usize, d: usize) -> usize {
        let (width, parts, values) = (shape.head_dim, parts_of(shape), value_width(shape));
        let (block, in_block) = (place / BLOCK, place % BLOCK);
        match (kind, what) {
            (Kind::Tiles, What::Keys) => (place * width + d / 32 * 32) * parts + d % 32,
            (Kind::Tiles, What::Values) => (block * width + d) * parts * BLOCK + in_block,
            (Kind::Single, What::Keys) => (place / UNIT * width + d) * UNIT + place % UNIT,
            (Kind::Single, What::Values) => place * values + d,
            (Kind::Pairs, What::Keys) => ((block * width / 2 + d / 2) * BLOCK + in_block) * 2 + d % 2,
            (Kind::Pairs, What::Values) => (place / 2 * values + d) * 2 + place % 2,
        }
    }

    #[test]
    fn numbers_stand_where_their_order_says_shared_or_not() {
        let places = 75;
        let cases = [
            (Kind::Tiles, Dtype::Bf16, 64),
            (Kind::Tiles, Dtype::F32, 32),
            (Kind::Single, Dtype::F32, 64),
            (Kind::Single, Dtype::F32, 24),
            (Kind::Single, Dtype::F16, 40),
            (Kind::Pairs, Dtype::Bf16, 64),
            (Kind::Pairs, Dtype::Bf16, 40),
        ];
        for (kind, dtype, head_dim) in cases {
            let shape = KeptShape { kv_heads: HEADS, head_dim, dtype };
            for vector in Isa::vectors() {
                let kept = [0..40, 40..places].map(|range| (range.start, kept(vector, shape, range)));
                let sources: Vec<Seen<'_>> = kept
                    .iter()
                    .map(|(start, rows)| Seen {
                        start: *start,
                        length: if *start == 0 { 40 } else { 35 },
                        rows,
                    })
                    .collect();
                // A shared part stands behind another; one that is not shared begins within what it sees.
                for (first, shared) in [(0, Some(32)), (32, None)] {
                    let length = (places - first).next_multiple_of(BLOCK);
                    let part = Part { first, places: length, at: shared, sources: sources.clone() };
                    let mut gathered = Gathered::new(shape).unwrap();
                    gathered.fill(kind, vector, shape, std::slice::from_ref(&part), 32 + length).unwrap();
                    for what in [What::Keys, What::Values] {
                        for head in 0..HEADS {
                            let mut own = vec![f32::NAN; length * value_width(shape) * PARTS];
                            let found: Vec<f32> = match kind {
                                Kind::Single => gathered.single(what, vector, &part, head, &mut own).to_vec(),
                                Kind::Tiles | Kind::Pairs => {
                                    let own = crate::model::cpu::memory::halves(&mut own);
                                    let numbers = gathered.bf16(what, vector, &part, head, own);
                                    numbers.iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect()
                                }
                            };
                            for (place, d) in
                                (0..length).flat_map(|place| (0..head_dim).map(move |d| (place, d)))
                            {
                                let expected = number(what, places, first + place, head, d);
                                let found = found[at(kind, shape, what, place, d)];
                                assert_eq!(
                                    found, expected,
                                    "{kind:?} {dtype} {vector:?} {what:?}, place {place}, number {d}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

//! Attention by tiles: 32 lines of queries side by side, scores with places as rows.
//!
//! `keys * queries^T` gives scores `[place][line]`, so that exponentials of a line are summed place by place in a lane of its
//! own; rounded to bfloat16 in pairs of places, as torch rounds them before the second product, they are what the tiles take to
//! multiply values with, `[head_dim][place]`. Single-precision queries, keys, values and weights are multiplied in three parts.

use super::amx::{self, TileProduct, Tiles};
use super::attention::{Attention, BLOCK, Group, Lines, Part, Queries, for_each_job};
use super::gather::{Gathered, What};
use super::inputs::{Places, Rows};
use super::lanes;
use super::matrix::PANEL;
use super::memory::{halves, with_scratch, words};
use super::split::{self, split_panel};
use super::transpose::transpose_numbers;
use crate::model::Dtype;

/// Lines of a job.
pub const LINES: usize = 32;
const _: () = assert!(LINES == PANEL && PANEL == BLOCK, "lines are a panel's columns, and a block's places");

/// One attention over gathered parts.
struct Tiled<'a> {
    attention: &'a Attention,
    parts: &'a [Part<'a>],
    gathered: &'a Gathered,
    queries: &'a Queries<'a>,
    to: Places<'a>,
    /// Parts of a number: one of bfloat16, three of single precision.
    of_number: usize,
}

pub fn attend(
    attention: &Attention,
    groups: &[Group],
    parts: &[Part<'_>],
    gathered: &Gathered,
    queries: &Queries<'_>,
    to: &mut Rows,
) {
    let of_number = if attention.shape.dtype == Dtype::F32 { split::PARTS } else { 1 };
    let tiled = Tiled { attention, parts, gathered, queries, to: to.places(), of_number };
    let heads = (queries.heads, attention.shape.kv_heads);
    for_each_job(
        groups,
        |_| LINES,
        heads,
        queries.places,
        |group, lines, head| {
            let Some(tiles) = Tiles::set_up() else { unreachable!("chosen where there are tiles") };
            tiled.job(&tiles, group, lines, head);
        },
    );
}

/// A job's scratch memory.
struct Scratch<'s> {
    /// Pairs of numbers, by blocks of 32, `[block][part][16][line]`.
    q: &'s mut [f32],
    /// `[place][line]`.
    scores: &'s mut [f32],
    /// Pairs of places, by blocks of 32, `[block][part][16][line]`.
    weights: &'s mut [f32],
    /// `[head_dim][line]`.
    sums: &'s mut [f32],
    /// A block of either.
    block: &'s mut [f32],
    /// Lines as rows.
    rows: &'s mut [f32],
    /// Keys or values of a part that is not shared.
    own: &'s mut [u16],
}

impl Tiled<'_> {
    fn job(&self, tiles: &Tiles, group: &Group, lines: &Lines, head: usize) {
        let width = self.attention.shape.head_dim;
        let places = (lines.end() - group.base).next_multiple_of(BLOCK);
        let (numbers, vector) = (self.of_number, self.attention.isa.vector);
        let own = lines.pieces.iter().map(|piece| &self.parts[piece.own]).filter(|part| part.at.is_none());
        let own = own.map(|part| part.places).max().unwrap_or(0) * width;
        let lengths = [
            numbers * width / 2 * LINES,
            places * LINES,
            numbers * places / 2 * LINES,
            width * LINES,
            BLOCK * LINES,
            width * LINES,
            (numbers * own).div_ceil(2),
        ];
        with_scratch(lengths.iter().sum::<usize>(), |mut scratch| {
            let [q, scores, weights, sums, block, rows, own] = lengths.map(|length| {
                let (these, rest) = std::mem::take(&mut scratch).split_at_mut(length);
                scratch = rest;
                these
            });
            let mut scratch = Scratch { q, scores, weights, sums, block, rows, own: halves(own) };
            self.bring_queries(lines, head, &mut scratch);
            self.score(tiles, group, lines, head, &mut scratch);
            let mut places = [(0, 0); LINES];
            for (line, seen) in places.iter_mut().enumerate() {
                // Lines that fill up do as the last one does; nobody reads them.
                let (row, _) = lines.of[line.min(lines.of.len() - 1)];
                let place = self.queries.places[row];
                let first = self.attention.first_seen(place).saturating_sub(group.base);
                *seen = (first as i32, (place - group.base) as i32);
            }
            let factor = std::f32::consts::LOG2_E / (width as f32).sqrt();
            let seen = &places[..lines.of.len().next_multiple_of(16)];
            let is_split = numbers > 1;
            let rounded = (!is_split).then_some(&mut *scratch.weights);
            // SAFETY: tiles come with AVX-512 and its bfloat16 conversions.
            let totals = unsafe { lanes::weigh(scratch.scores, seen, factor, rounded) };
            if is_split {
                split_panel(vector, scratch.scores, words(scratch.weights));
            }
            self.sum(tiles, group, lines, head, &mut scratch);
            // SAFETY: as above.
            unsafe { lanes::divide(scratch.sums, &totals) };
            self.write(lines, head, &mut scratch);
        });
    }

    /// Writes sums as rows.
    fn write(&self, lines: &Lines, head: usize, scratch: &mut Scratch<'_>) {
        let (width, vector) = (self.attention.shape.head_dim, self.attention.isa.vector);
        let query_heads = self.queries.heads / self.attention.shape.kv_heads;
        let column = |in_group: usize| (head * query_heads + in_group) * width;
        if self.of_number == 1 {
            for (first, lines) in lines.of.chunks(16).enumerate() {
                let to = |line: usize| {
                    let (row, in_group) = lines[line];
                    // SAFETY: each line of each job has its own places.
                    unsafe { self.to.bf16(row, column(in_group), width) }
                };
                // SAFETY: tiles come with AVX-512 and its bfloat16 conversions.
                unsafe { lanes::write_rows(&scratch.sums[16 * first..], width, lines.len(), to) };
            }
            return;
        }
        for (block, sums) in scratch.sums.chunks_exact(BLOCK * LINES).enumerate() {
            transpose_numbers(vector, sums, scratch.block);
            for (&(row, in_group), numbers) in lines.of.iter().zip(scratch.block.chunks_exact(BLOCK)) {
                // SAFETY: as above.
                unsafe { self.to.write(vector, Dtype::F32, row, column(in_group) + block * BLOCK, numbers) };
            }
        }
    }

    /// Queries as the tiles take them on the right: pairs of numbers, line by line.
    fn bring_queries(&self, lines: &Lines, head: usize, scratch: &mut Scratch<'_>) {
        let width = self.attention.shape.head_dim;
        let query_heads = self.queries.heads / self.attention.shape.kv_heads;
        let row = |line: usize| {
            let (row, in_group) = *lines.of.get(line)?;
            let at = row * self.queries.stride + (head * query_heads + in_group) * width;
            Some(&self.queries.numbers[at..at + width])
        };
        if self.of_number == 1 {
            for first in [0, 16] {
                // SAFETY: tiles come with AVX-512.
                unsafe { lanes::pack_queries(|line| row(first + line), width, &mut scratch.q[first..]) };
            }
            return;
        }
        for (line, to) in scratch.rows.chunks_exact_mut(width).enumerate() {
            match row(line) {
                Some(row) => to.copy_from_slice(row),
                None => to.fill(0.0),
            }
        }
        let vector = self.attention.isa.vector;
        transpose_numbers(vector, scratch.rows, scratch.sums);
        split_panel(vector, scratch.sums, words(scratch.q));
    }

    /// The parts that lines see, in order of places: the part, its lines, and its blocks that they see.
    fn seen<'p>(
        &'p self,
        group: &Group,
        lines: &'p Lines,
    ) -> impl Iterator<Item = (&'p Part<'p>, std::ops::Range<usize>, usize)> {
        let shared = group.shared.map(|part| {
            let part = &self.parts[part];
            (part, 0..lines.of.len(), part.places / BLOCK)
        });
        let own = lines.pieces.iter().map(|piece| {
            let part = &self.parts[piece.own];
            (part, piece.lines.clone(), (piece.end - part.first).div_ceil(BLOCK))
        });
        shared.into_iter().chain(own)
    }

    fn score(&self, tiles: &Tiles, group: &Group, lines: &Lines, head: usize, scratch: &mut Scratch<'_>) {
        let (width, numbers) = (self.attention.shape.head_dim, self.of_number);
        let row = numbers * width;
        for (part, of, blocks) in self.seen(group, lines) {
            let keys = self.gathered.bf16(What::Keys, self.attention.isa.vector, part, head, scratch.own);
            let is_whole = of.len() == lines.of.len();
            for block in 0..blocks {
                let keys = &keys[block * BLOCK * row..][..BLOCK * row];
                let at = (part.first - group.base + block * BLOCK) * LINES;
                let scores = &mut scratch.scores[at..at + BLOCK * LINES];
                let product = TileProduct {
                    a: keys.as_ptr(),
                    lda: row,
                    a_step: numbers * amx::BLOCK,
                    b: scratch.q.as_ptr().cast(),
                    blocks: width / amx::BLOCK,
                    c: if is_whole { scores.as_mut_ptr() } else { scratch.block.as_mut_ptr() },
                    ldc: LINES,
                    first: true,
                    ahead: keys.as_ptr().cast(),
                    ahead_step: 0,
                };
                // SAFETY: 32 keys, as many queries, and a block of scores.
                unsafe { self.multiply(tiles, &product) };
                if !is_whole {
                    // SAFETY: tiles come with AVX-512.
                    unsafe { lanes::copy_columns(scratch.block, scores, &of) };
                }
            }
        }
    }

    /// # Safety
    /// As [`Tiles::product_of_32`], of numbers in as many parts as these have.
    unsafe fn multiply(&self, tiles: &Tiles, product: &TileProduct) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.of_number {
                1 => tiles.product_of_32(product),
                _ => tiles.split_product_of_32(product),
            }
        }
    }

    fn sum(&self, tiles: &Tiles, group: &Group, lines: &Lines, head: usize, scratch: &mut Scratch<'_>) {
        let (width, numbers) = (self.attention.shape.head_dim, self.of_number);
        let mut is_first = true;
        for (part, of, blocks) in self.seen(group, lines) {
            let values = self.gathered.bf16(What::Values, self.attention.isa.vector, part, head, scratch.own);
            assert!(blocks * BLOCK <= part.places, "a part has the places that are seen");
            let is_whole = of.len() == lines.of.len();
            if !is_whole && is_first {
                scratch.sums.fill(0.0);
                is_first = false;
            }
            let weights = numbers * (part.first - group.base) / 2 * LINES;
            let weights = &scratch.weights[weights..][..numbers * blocks * BLOCK / 2 * LINES];
            for d in (0..width).step_by(BLOCK) {
                let sums = &mut scratch.sums[d * LINES..][..BLOCK * LINES];
                if !is_whole {
                    scratch.block.copy_from_slice(sums);
                }
                let product = TileProduct {
                    a: values[numbers * d * BLOCK..].as_ptr(),
                    lda: numbers * BLOCK,
                    a_step: numbers * BLOCK * width,
                    b: weights.as_ptr().cast(),
                    blocks,
                    c: if is_whole { sums.as_mut_ptr() } else { scratch.block.as_mut_ptr() },
                    ldc: LINES,
                    first: is_first,
                    ahead: values.as_ptr().cast(),
                    ahead_step: 0,
                };
                // SAFETY: `blocks` blocks of values, 32 rows of each from `d` on, as many of weights, and a block of sums.
                unsafe { self.multiply(tiles, &product) };
                if !is_whole {
                    // SAFETY: tiles come with AVX-512.
                    unsafe { lanes::copy_columns(scratch.block, sums, &of) };
                }
            }
            is_first = false;
        }
    }
}

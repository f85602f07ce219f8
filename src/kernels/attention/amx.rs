//! Attention on AMX tiles: 32 queries as columns, positions as rows of scores.
//!
//! `keys * queries^T` gives scores `[position][query]`, so that the exponentials of a query are summed
//! position by position in their own lane. They are rounded to bfloat16 in pairs of positions, as torch
//! rounds them before the second product; tiles take these pairs as B, with values `[head_dim][position]` as
//! A. Single-precision queries, keys, values and weights are multiplied in three parts.

use std::ops::Range;

use super::amx_softmax::{self, QUERIES};
use super::groups::{Attention, Group, KV_BLOCK, KvRange, Queries, QueryTile, for_each_tile};
use super::kv_layout::{KeyOrValue, KvSource, PackedKv};
use crate::kernels::dtype::Dtype;
use crate::kernels::gemm::activations::{GemmInput, RowWriter};
use crate::kernels::gemm::amx::{AmxBf16, AmxBf16x3};
use crate::kernels::gemm::args::{GemmArgs, Panel};
use crate::kernels::gemm::bf16x3::{self, split_panel};
use crate::kernels::gemm::kernel::GemmKernel;
use crate::kernels::layout::{NR, TILE_K};
use crate::kernels::memory::{bytes_of, halves, with_scratch, words};
use crate::kernels::tiles::Tiles;
use crate::kernels::transpose::transpose_numbers;

const _: () =
    assert!(QUERIES == NR && NR == KV_BLOCK, "queries are a panel's columns, and a block's positions");

/// One attention over packed ranges.
struct AmxAttention<'a> {
    attention: &'a Attention,
    ranges: &'a [KvRange<'a>],
    packed: &'a PackedKv,
    queries: &'a Queries<'a>,
    to: RowWriter<'a>,
    /// Parts of an element: one in bfloat16, three in single precision.
    parts: usize,
}

/// Computes attention: `to` gets `[rows][heads * head_dim]`.
pub fn attend(
    attention: &Attention,
    groups: &[Group],
    ranges: &[KvRange<'_>],
    packed: &PackedKv,
    queries: &Queries<'_>,
    to: &mut GemmInput,
) {
    let parts = if attention.shape.dtype == Dtype::F32 { bf16x3::PARTS } else { 1 };
    let of = AmxAttention { attention, ranges, packed, queries, to: to.writer(), parts };
    let heads = (queries.heads, attention.shape.kv_heads);
    for_each_tile(
        groups,
        |_| QUERIES,
        heads,
        queries.positions,
        |group, tile, head| {
            let Some(tiles) = Tiles::set_up() else { unreachable!("chosen where there are tiles") };
            of.job(&tiles, group, tile, head);
        },
    );
}

/// A job's scratch memory.
struct Scratch<'s> {
    /// Pairs of elements, by blocks of 32, `[block][part][16][query]`.
    q: &'s mut [f32],
    /// `[position][query]`.
    scores: &'s mut [f32],
    /// Pairs of positions, by blocks of 32, `[block][part][16][query]`.
    weights: &'s mut [f32],
    /// `[head_dim][query]`.
    sums: &'s mut [f32],
    /// A block of scores or of sums.
    block: &'s mut [f32],
    /// Queries as rows.
    rows: &'s mut [f32],
    /// Keys or values of a range that is not shared.
    own: &'s mut [u16],
}

/// A range, the tile's queries that attend to it, and the number of its blocks that they attend to.
type Attended<'p> = (&'p KvRange<'p>, Range<usize>, usize);

impl AmxAttention<'_> {
    fn job(&self, tiles: &Tiles, group: &Group, tile: &QueryTile, head: usize) {
        let width = self.attention.shape.head_dim;
        let positions = (tile.end() - group.base).next_multiple_of(KV_BLOCK);
        let (parts, vector) = (self.parts, self.attention.isa.vector);
        let own = tile.segments.iter().map(|segment| &self.ranges[segment.own]);
        let own =
            own.filter(|range| range.offset.is_none()).map(|range| range.length).max().unwrap_or(0) * width;
        let lengths = [
            parts * width / 2 * QUERIES,
            positions * QUERIES,
            parts * positions / 2 * QUERIES,
            width * QUERIES,
            KV_BLOCK * QUERIES,
            width * QUERIES,
            (parts * own).div_ceil(2),
        ];
        with_scratch(lengths.iter().sum::<usize>(), |mut scratch| {
            let [q, scores, weights, sums, block, rows, own] = lengths.map(|length| {
                let (these, rest) = std::mem::take(&mut scratch).split_at_mut(length);
                scratch = rest;
                these
            });
            let mut scratch = Scratch { q, scores, weights, sums, block, rows, own: halves(own) };
            self.pack_queries(tile, head, &mut scratch);
            self.score(tiles, group, tile, head, &mut scratch);
            let mut attended = [(0, 0); QUERIES];
            for (query, attended) in attended.iter_mut().enumerate() {
                // Padding queries of the tile repeat the last one; their results are never read.
                let (row, _) = tile.queries[query.min(tile.queries.len() - 1)];
                let position = self.queries.positions[row];
                let first = self.attention.first_position(position).saturating_sub(group.base);
                *attended = (first as i32, (position - group.base) as i32);
            }
            let factor = std::f32::consts::LOG2_E / (width as f32).sqrt();
            let attended = &attended[..tile.queries.len().next_multiple_of(16)];
            let is_split = parts > 1;
            let rounded = (!is_split).then_some(&mut *scratch.weights);
            // SAFETY: tiles are used only with AVX-512 and its bfloat16 conversions.
            let totals = unsafe { amx_softmax::weigh(scratch.scores, attended, factor, rounded) };
            if is_split {
                split_panel(vector, scratch.scores, words(scratch.weights));
            }
            self.sum(tiles, group, tile, head, &mut scratch);
            // SAFETY: as above.
            unsafe { amx_softmax::divide(scratch.sums, &totals) };
            self.write(tile, head, &mut scratch);
        });
    }

    /// Writes sums as rows.
    fn write(&self, tile: &QueryTile, head: usize, scratch: &mut Scratch<'_>) {
        let (width, vector) = (self.attention.shape.head_dim, self.attention.isa.vector);
        let query_heads = self.queries.heads / self.attention.shape.kv_heads;
        let column = |in_group: usize| (head * query_heads + in_group) * width;
        if self.parts == 1 {
            for (first, queries) in tile.queries.chunks(16).enumerate() {
                let to = |query: usize| {
                    let (row, in_group) = queries[query];
                    // SAFETY: each query of each job writes its own elements.
                    unsafe { self.to.bf16(row, column(in_group), width) }
                };
                // SAFETY: tiles are used only with AVX-512 and its bfloat16 conversions.
                unsafe { amx_softmax::write_rows(&scratch.sums[16 * first..], width, queries.len(), to) };
            }
            return;
        }
        for (block, sums) in scratch.sums.chunks_exact(KV_BLOCK * QUERIES).enumerate() {
            transpose_numbers(vector, sums, scratch.block);
            for (&(row, in_group), numbers) in tile.queries.iter().zip(scratch.block.chunks_exact(KV_BLOCK)) {
                let column = column(in_group) + block * KV_BLOCK;
                // SAFETY: as above.
                unsafe { self.to.write(vector, Dtype::F32, row, column, numbers) };
            }
        }
    }

    /// Packs queries as the B of tiles: pairs of elements, query by query.
    fn pack_queries(&self, tile: &QueryTile, head: usize, scratch: &mut Scratch<'_>) {
        let width = self.attention.shape.head_dim;
        let query_heads = self.queries.heads / self.attention.shape.kv_heads;
        let row = |query: usize| {
            let (row, in_group) = *tile.queries.get(query)?;
            let at = row * self.queries.stride + (head * query_heads + in_group) * width;
            Some(&self.queries.numbers[at..at + width])
        };
        if self.parts == 1 {
            for first in [0, 16] {
                let to = &mut scratch.q[first..];
                // SAFETY: tiles are used only with AVX-512.
                unsafe { amx_softmax::pack_queries(|query| row(first + query), width, to) };
            }
            return;
        }
        for (query, to) in scratch.rows.chunks_exact_mut(width).enumerate() {
            match row(query) {
                Some(row) => to.copy_from_slice(row),
                None => to.fill(0.0),
            }
        }
        let vector = self.attention.isa.vector;
        transpose_numbers(vector, scratch.rows, scratch.sums);
        split_panel(vector, scratch.sums, words(scratch.q));
    }

    /// The ranges that a tile's queries attend to, in order of positions.
    fn attended<'p>(&'p self, group: &Group, tile: &'p QueryTile) -> impl Iterator<Item = Attended<'p>> {
        let shared = group.shared.map(|range| {
            let range = &self.ranges[range];
            (range, 0..tile.queries.len(), range.length / KV_BLOCK)
        });
        let own = tile.segments.iter().map(|segment| {
            let range = &self.ranges[segment.own];
            (range, segment.queries.clone(), (segment.end - range.first).div_ceil(KV_BLOCK))
        });
        shared.into_iter().chain(own)
    }

    /// Multiplies 32 rows of A, `k` terms each, by a panel of queries or weights.
    #[allow(clippy::too_many_arguments, reason = "two operands and where the sums go")]
    fn multiply(
        &self,
        tiles: &Tiles,
        (a, lda, a_block): (&[u16], usize, usize),
        b: &[f32],
        k: usize,
        c: &mut [f32],
        accumulate: bool,
    ) {
        let mut args = GemmArgs {
            m: KV_BLOCK,
            k,
            a,
            lda,
            a_block,
            b: Panel { bytes: bytes_of(b), row: 2 * NR * size_of::<u16>(), half: NR * size_of::<u16>() },
            second: None,
            c,
            ldc: QUERIES,
            accumulate,
            tiles: Some(tiles),
            scratch: &mut [],
            prefetch: &[],
        };
        match self.parts {
            1 => AmxBf16::multiply(&mut args),
            _ => AmxBf16x3::multiply(&mut args),
        }
    }

    fn source<'p>(&self, range: &'p KvRange<'p>, head: usize) -> KvSource<'p> {
        KvSource { vector: self.attention.isa.vector, shape: self.attention.shape, range, head }
    }

    /// Computes the scores of all queries at all positions that they attend to, a block of positions at a
    /// time.
    fn score(&self, tiles: &Tiles, group: &Group, tile: &QueryTile, head: usize, scratch: &mut Scratch<'_>) {
        let (width, parts) = (self.attention.shape.head_dim, self.parts);
        let row = parts * width;
        for (range, of, blocks) in self.attended(group, tile) {
            let keys = self.packed.bf16(KeyOrValue::Keys, &self.source(range, head), scratch.own);
            let is_whole = of.len() == tile.queries.len();
            for block in 0..blocks {
                let keys = &keys[block * KV_BLOCK * row..][..KV_BLOCK * row];
                let at = (range.first - group.base + block * KV_BLOCK) * QUERIES;
                let scores = &mut scratch.scores[at..at + KV_BLOCK * QUERIES];
                let c = if is_whole { &mut *scores } else { &mut *scratch.block };
                self.multiply(tiles, (keys, row, parts * TILE_K), scratch.q, width, c, false);
                if !is_whole {
                    // SAFETY: tiles are used only with AVX-512.
                    unsafe { amx_softmax::copy_columns(scratch.block, scores, &of) };
                }
            }
        }
    }

    /// Computes the weighted sums of values.
    fn sum(&self, tiles: &Tiles, group: &Group, tile: &QueryTile, head: usize, scratch: &mut Scratch<'_>) {
        let (width, parts) = (self.attention.shape.head_dim, self.parts);
        let mut accumulate = false;
        for (range, of, blocks) in self.attended(group, tile) {
            let values = self.packed.bf16(KeyOrValue::Values, &self.source(range, head), scratch.own);
            assert!(blocks * KV_BLOCK <= range.length, "a range has the positions that are attended to");
            let is_whole = of.len() == tile.queries.len();
            if !is_whole && !accumulate {
                scratch.sums.fill(0.0);
                accumulate = true;
            }
            let k = blocks * KV_BLOCK;
            let weights = parts * (range.first - group.base) / 2 * QUERIES;
            let weights = &scratch.weights[weights..][..parts * k / 2 * QUERIES];
            for d in (0..width).step_by(KV_BLOCK) {
                let sums = &mut scratch.sums[d * QUERIES..][..KV_BLOCK * QUERIES];
                if !is_whole {
                    scratch.block.copy_from_slice(sums);
                }
                let c = if is_whole { &mut *sums } else { &mut *scratch.block };
                let a = (&values[parts * d * KV_BLOCK..], parts * KV_BLOCK, parts * KV_BLOCK * width);
                self.multiply(tiles, a, weights, k, c, accumulate);
                if !is_whole {
                    // SAFETY: tiles are used only with AVX-512.
                    unsafe { amx_softmax::copy_columns(scratch.block, sums, &of) };
                }
            }
            accumulate = true;
        }
    }
}

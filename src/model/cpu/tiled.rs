//! Attention by tiles: 32 lines of queries side by side, scores with places as rows.
//!
//! `keys * queries^T` gives scores `[place][line]`, so that exponentials of a line are summed place by place in a lane of its
//! own; rounded to bfloat16 in pairs of places, as torch rounds them before the second product, they are what the tiles take to
//! multiply values with, `[head_dim][place]`.

use super::amx::{self, TileProduct, Tiles};
use super::attention::{Attention, BLOCK, Group, Lines, Part, Queries, for_each_job};
use super::gather::Gathered;
use super::inputs::{Inputs, Rows};
use super::memory::{Shared, with_scratch};

/// Lines of a job.
const LINES: usize = 32;

/// One attention over gathered parts.
struct Tiled<'a> {
    attention: &'a Attention,
    parts: &'a [Part<'a>],
    gathered: &'a Gathered,
    queries: &'a Queries<'a>,
    to: Shared<'a, u16>,
    to_stride: usize,
}

pub fn attend(
    attention: &Attention,
    groups: &[Group],
    parts: &[Part<'_>],
    gathered: &Gathered,
    queries: &Queries<'_>,
    to: &mut Rows,
) {
    let to_stride = to.stride;
    let Inputs::Bf16(to) = &mut to.inputs else { unreachable!("tiles take bfloat16 and give it") };
    let tiled = Tiled { attention, parts, gathered, queries, to: Shared::new(to), to_stride };
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
    /// Pairs of numbers, `[head_dim / 2][line]`.
    q: &'s mut [f32],
    /// `[place][line]`.
    scores: &'s mut [f32],
    /// Pairs of places, `[place / 2][line]`.
    weights: &'s mut [f32],
    /// `[head_dim][line]`.
    sums: &'s mut [f32],
    /// A block of either.
    block: &'s mut [f32],
    /// Keys or values of a part that is not shared.
    own: &'s mut [u16],
}

impl Tiled<'_> {
    fn job(&self, tiles: &Tiles, group: &Group, lines: &Lines, head: usize) {
        let width = self.attention.shape.head_dim;
        let places = (lines.end() - group.base).next_multiple_of(BLOCK);
        let lengths = [width / 2 * LINES, places * LINES, places / 2 * LINES, width * LINES];
        let own = lines.pieces.iter().map(|piece| self.parts[piece.own].places).max().unwrap_or(0) * width;
        with_scratch(lengths.iter().sum::<usize>() + BLOCK * LINES + own.div_ceil(2), |scratch| {
            let (q, scratch) = scratch.split_at_mut(lengths[0]);
            let (scores, scratch) = scratch.split_at_mut(lengths[1]);
            let (weights, scratch) = scratch.split_at_mut(lengths[2]);
            let (sums, scratch) = scratch.split_at_mut(lengths[3]);
            let (block, own) = scratch.split_at_mut(BLOCK * LINES);
            // SAFETY: any bits are numbers of either kind.
            let (_, own, _) = unsafe { own.align_to_mut::<u16>() };
            let mut scratch = Scratch { q, scores, weights, sums, block, own };
            self.bring_queries(lines, head, scratch.q);
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
            // SAFETY: tiles come with AVX-512 and its bfloat16 conversions.
            let totals = unsafe {
                wide::weigh(
                    scratch.scores,
                    &places[..lines.of.len().next_multiple_of(16)],
                    factor,
                    scratch.weights,
                )
            };
            self.sum(tiles, group, lines, head, &mut scratch);
            // SAFETY: as above.
            unsafe { wide::divide(scratch.sums, &totals) };
            let query_heads = self.queries.heads / self.attention.shape.kv_heads;
            for (first, lines) in lines.of.chunks(16).enumerate() {
                let to = |line: usize| {
                    let (row, in_group) = lines[line];
                    let at = row * self.to_stride + (head * query_heads + in_group) * width;
                    // SAFETY: each line of each job has its own places.
                    unsafe { self.to.part(at, width) }
                };
                // SAFETY: as above.
                unsafe { wide::write_rows(&scratch.sums[16 * first..], width, lines.len(), to) };
            }
        });
    }

    /// Queries as the tiles take them on the right: pairs of numbers, line by line.
    fn bring_queries(&self, lines: &Lines, head: usize, q: &mut [f32]) {
        let width = self.attention.shape.head_dim;
        let query_heads = self.queries.heads / self.attention.shape.kv_heads;
        for first in [0, 16] {
            let row = |line: usize| {
                let (row, in_group) = *lines.of.get(first + line)?;
                let at = row * self.queries.stride + (head * query_heads + in_group) * width;
                Some(&self.queries.numbers[at..at + width])
            };
            // SAFETY: tiles come with AVX-512.
            unsafe { wide::pack_queries(row, width, &mut q[first..]) };
        }
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
        let width = self.attention.shape.head_dim;
        for (part, of, blocks) in self.seen(group, lines) {
            let keys = self.gathered.tile_keys(part, head, scratch.own);
            let is_whole = of.len() == lines.of.len();
            for block in 0..blocks {
                let keys = &keys[block * BLOCK * width..][..BLOCK * width];
                let at = (part.first - group.base + block * BLOCK) * LINES;
                let scores = &mut scratch.scores[at..at + BLOCK * LINES];
                let product = TileProduct {
                    a: keys.as_ptr(),
                    lda: width,
                    a_step: amx::BLOCK,
                    b: scratch.q.as_ptr().cast(),
                    blocks: width / amx::BLOCK,
                    c: if is_whole { scores.as_mut_ptr() } else { scratch.block.as_mut_ptr() },
                    ldc: LINES,
                    first: true,
                    ahead: keys.as_ptr().cast(),
                    ahead_step: 0,
                };
                // SAFETY: 32 keys, as many queries, and a block of scores.
                unsafe { tiles.product_of_32(&product) };
                if !is_whole {
                    copy_columns(scratch.block, scores, &of);
                }
            }
        }
    }

    fn sum(&self, tiles: &Tiles, group: &Group, lines: &Lines, head: usize, scratch: &mut Scratch<'_>) {
        let width = self.attention.shape.head_dim;
        let mut is_first = true;
        for (part, of, blocks) in self.seen(group, lines) {
            let values = self.gathered.tile_values(self.attention.isa.vector, part, head, scratch.own);
            assert!(blocks * BLOCK <= part.places, "a part has the places that are seen");
            let is_whole = of.len() == lines.of.len();
            if !is_whole && is_first {
                scratch.sums.fill(0.0);
                is_first = false;
            }
            let weights = (part.first - group.base) / 2 * LINES;
            let weights = &scratch.weights[weights..][..blocks * BLOCK / 2 * LINES];
            for d in (0..width).step_by(BLOCK) {
                let sums = &mut scratch.sums[d * LINES..][..BLOCK * LINES];
                if !is_whole {
                    scratch.block.copy_from_slice(sums);
                }
                let product = TileProduct {
                    a: values[d * BLOCK..].as_ptr(),
                    lda: BLOCK,
                    a_step: BLOCK * width,
                    b: weights.as_ptr().cast(),
                    blocks,
                    c: if is_whole { sums.as_mut_ptr() } else { scratch.block.as_mut_ptr() },
                    ldc: LINES,
                    first: is_first,
                    ahead: values.as_ptr().cast(),
                    ahead_step: 0,
                };
                // SAFETY: `blocks` blocks of values, 32 rows of each from `d` on, as many of weights, and a block of sums.
                unsafe { tiles.product_of_32(&product) };
                if !is_whole {
                    copy_columns(scratch.block, sums, &of);
                }
            }
            is_first = false;
        }
    }
}

/// Copies some columns of a block.
fn copy_columns(from: &[f32], to: &mut [f32], columns: &std::ops::Range<usize>) {
    for (from, to) in from.chunks_exact(LINES).zip(to.chunks_exact_mut(LINES)) {
        to[columns.clone()].copy_from_slice(&from[columns.clone()]);
    }
}

mod wide {
    use std::arch::x86_64::*;

    use super::LINES;
    use crate::model::cpu::columns::wide::transposed;

    /// `2^x` for `x` that is not above zero, to about 2e-7; zero where it is too small. NaN stays NaN.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn exp2(x: __m512) -> __m512 {
        // x = n + r with |r| <= 1/2; Taylor's polynomial of 2^r.
        let r = _mm512_reduce_ps::<0>(x);
        let n = _mm512_sub_ps(x, r);
        let mut p = _mm512_set1_ps(1.540_353e-4);
        for coefficient in
            [1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 0.240_226_5, std::f32::consts::LN_2, 1.0]
        {
            p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(coefficient));
        }
        _mm512_scalef_ps(p, n)
    }

    /// Turns scores `[place][32]` into weights: `2^((score - highest) * factor)` of the places that a line sees, first and last
    /// of `seen`, zero elsewhere, rounded to bfloat16, in pairs of places, for 16 lines or 32. Returns the lines' sums of what was not rounded, even
    /// and odd places apart, each in order.
    ///
    /// # Safety
    /// The processor has AVX-512 with its bfloat16 conversions.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512bf16")]
    pub unsafe fn weigh(
        scores: &[f32],
        seen: &[(i32, i32)],
        factor: f32,
        weights: &mut [f32],
    ) -> [f32; LINES] {
        let places = scores.len() / LINES;
        assert!(weights.len() * 2 >= places * LINES, "a pair of places has a number a line");
        let mut pairs = [0i16; 32];
        for (i, place) in pairs.iter_mut().enumerate() {
            *place = (i / 2 + 16 * (i % 2)) as i16;
        }
        let mut totals = [0.0; LINES];
        let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
        for (half, (totals, of)) in totals.chunks_exact_mut(16).zip(seen.chunks_exact(16)).enumerate() {
            let (firsts, lasts): (Vec<i32>, Vec<i32>) = of.iter().copied().unzip();
            // All lanes see the places between.
            let all = of.iter().map(|seen| seen.0).max().unwrap_or(0)
                ..of.iter().map(|seen| seen.1 + 1).min().unwrap_or(0);
            // SAFETY: 16 numbers each, 64 bytes of `pairs`; scores and weights have `places` and `places / 2` rows of 32.
            unsafe {
                let first = _mm512_loadu_si512(firsts.as_ptr().cast());
                let last = _mm512_loadu_si512(lasts.as_ptr().cast());
                let pairs = _mm512_loadu_si512(pairs.as_ptr().cast());
                let sees = |place: usize| {
                    let place = _mm512_set1_epi32(place as i32);
                    _mm512_cmple_epi32_mask(first, place) & _mm512_cmple_epi32_mask(place, last)
                };
                let score = |place: usize| _mm512_loadu_ps(scores.as_ptr().add(place * LINES + 16 * half));
                let mut highest = [lowest; 2];
                for place in 0..places {
                    let x = match all.contains(&(place as i32)) {
                        true => score(place),
                        false => _mm512_mask_mov_ps(lowest, sees(place), score(place)),
                    };
                    highest[place % 2] = _mm512_max_ps(highest[place % 2], x);
                }
                let factor = _mm512_set1_ps(factor);
                let shift = _mm512_mul_ps(_mm512_max_ps(highest[0], highest[1]), factor);
                let mut sums = [_mm512_setzero_ps(); 2];
                for pair in 0..places / 2 {
                    let weight = |place: usize| {
                        let y = exp2(_mm512_fmsub_ps(score(place), factor, shift));
                        match all.contains(&(place as i32)) {
                            true => y,
                            false => _mm512_maskz_mov_ps(sees(place), y),
                        }
                    };
                    let (even, odd) = (weight(2 * pair), weight(2 * pair + 1));
                    sums = [_mm512_add_ps(sums[0], even), _mm512_add_ps(sums[1], odd)];
                    let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(odd, even));
                    let both = _mm512_permutexvar_epi16(pairs, both);
                    _mm512_storeu_si512(weights.as_mut_ptr().add(pair * LINES + 16 * half).cast(), both);
                }
                _mm512_storeu_ps(totals.as_mut_ptr(), _mm512_add_ps(sums[0], sums[1]));
            }
        }
        totals
    }

    /// Divides the columns of `sums`, `[row][32]`.
    ///
    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn divide(sums: &mut [f32], totals: &[f32; LINES]) {
        let mut factors = [0.0; LINES];
        factors.iter_mut().zip(totals).for_each(|(factor, total)| *factor = 1.0 / total);
        for sums in sums.chunks_exact_mut(LINES) {
            sums.iter_mut().zip(&factors).for_each(|(sum, factor)| *sum *= factor);
        }
    }

    /// Packs 16 rows of `width` numbers, which are bfloat16 already, as pairs `[width / 2][32]`; rows that are not there are zero.
    ///
    /// # Safety
    /// The processor has AVX-512; `width` is a multiple of 32.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub unsafe fn pack_queries<'a>(row: impl Fn(usize) -> Option<&'a [f32]>, width: usize, to: &mut [f32]) {
        assert!(to.len() >= (width / 2 - 1) * LINES + 16, "16 columns of pairs");
        let zero = _mm512_setzero_si512();
        for d in (0..width).step_by(32) {
            let mut lines = [zero; 16];
            for (line, pairs) in lines.iter_mut().enumerate() {
                let Some(row) = row(line) else { continue };
                let numbers = &row[d..d + 32];
                // SAFETY: 32 numbers.
                *pairs = unsafe {
                    let low = _mm512_loadu_si512(numbers.as_ptr().cast());
                    let high = _mm512_loadu_si512(numbers.as_ptr().add(16).cast());
                    let low = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(low));
                    let high = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(high));
                    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
                };
            }
            for (pair, lines) in transposed(lines).into_iter().enumerate() {
                // SAFETY: 16 of the columns that were just checked for.
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().add((d / 2 + pair) * LINES).cast(), lines) };
            }
        }
    }

    /// Writes up to 16 columns of `sums`, `[width][32]` from the first column on, as rows of bfloat16.
    ///
    /// # Safety
    /// The processor has AVX-512 with its bfloat16 conversions; `width` is a multiple of 32.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn write_rows<'a>(
        sums: &[f32],
        width: usize,
        lines: usize,
        to: impl Fn(usize) -> &'a mut [u16],
    ) {
        assert!(sums.len() >= (width - 1) * LINES + 16, "16 columns of sums");
        for d in (0..width).step_by(16) {
            let mut rows = [_mm512_setzero_si512(); 16];
            for (i, row) in rows.iter_mut().enumerate() {
                // SAFETY: 16 of the columns that were just checked for.
                *row = unsafe { _mm512_loadu_si512(sums.as_ptr().add((d + i) * LINES).cast()) };
            }
            for (line, numbers) in transposed(rows).into_iter().enumerate().take(lines) {
                let to = &mut to(line)[d..d + 16];
                // SAFETY: 16 numbers of 16 bits.
                unsafe {
                    let rounded = _mm512_cvtneps_pbh(_mm512_castsi512_ps(numbers));
                    _mm256_storeu_si256(
                        to.as_mut_ptr().cast(),
                        std::mem::transmute::<__m256bh, __m256i>(rounded),
                    );
                }
            }
        }
    }
}

//! Attention over kept keys and values, block by block of rows.
//!
//! A row sees the places of its own chain of segments, which follow each other without gaps; its scores lie in a line by
//! place, so neither the cut into segments nor the other rows of a block change its bits.

use std::ops::Range;

use rayon::prelude::*;

use super::isa::Vector;
use super::kept::{KeptRows, KeptShape};
use super::matrix::{Table, with_scratch};
use super::rows::{scale, softmax};
use super::vector::{self, Product, UNIT};
use crate::model::Dtype;

/// Kept keys and values that rows see.
pub struct Seen<'a> {
    /// Place of the first.
    pub start: usize,
    pub length: usize,
    pub rows: &'a KeptRows,
}

/// A segment's rows of a pass, and what they see.
pub struct Own<'a> {
    /// Rows of the pass that are computed, rising.
    pub rows: Vec<usize>,
    /// The segment itself: the rows see it up to their own places.
    pub seen: Seen<'a>,
}

/// Neighbouring segments of a pass that continue the same chain.
pub struct Family<'a> {
    /// What all of them see, in order.
    pub chain: Vec<Seen<'a>>,
    pub segments: Vec<Own<'a>>,
}

/// The rows of a pass.
pub struct Queries<'a> {
    /// Rotated queries, `[rows, heads * head_dim]`.
    pub numbers: &'a [f32],
    /// Numbers from row to row.
    pub stride: usize,
    /// Place of each row.
    pub places: &'a [usize],
    pub heads: usize,
}

/// What attention is computed with.
#[derive(Clone, Copy)]
pub struct Attention {
    pub vector: Vector,
    pub shape: KeptShape,
    /// Of each row the last so many places are seen; all without it.
    pub window: Option<usize>,
}

/// Scores of a job are at most about as many: 1 MiB, which stays in the second cache.
const MAX_SCORES: usize = 1 << 18;
/// Rows of a job, over the heads of a group, at most.
const MAX_ROWS: usize = 112;

/// Rows of one segment that a job computes.
struct Piece<'a> {
    own: &'a Own<'a>,
    /// Among the segment's rows.
    rows: Range<usize>,
}

impl Attention {
    /// `softmax(q k^T / sqrt(head_dim)) v` for each head (<https://arxiv.org/abs/1706.03762>), with grouped queries, in single
    /// precision, rounded at the end; `to` gets `[rows, heads * head_dim]`.
    pub fn attend(&self, families: &[Family<'_>], queries: &Queries<'_>, to: &mut [f32], to_stride: usize) {
        let group = queries.heads / self.shape.kv_heads;
        let mut jobs = Vec::new();
        for family in families {
            for pieces in self.pieces(family, queries, group) {
                for head in 0..self.shape.kv_heads {
                    jobs.push((family, pieces.clone(), head));
                }
            }
        }
        let to = Table::new(to, to_stride);
        jobs.par_iter().for_each(|(family, pieces, head)| {
            let pieces: Vec<Piece<'_>> = pieces
                .iter()
                .map(|(segment, rows)| Piece { own: &family.segments[*segment], rows: rows.clone() })
                .collect();
            self.job(&family.chain, &pieces, *head, queries, &to);
        });
    }

    /// Divides a family's rows into jobs: for each job segments and rows of them.
    fn pieces(
        &self,
        family: &Family<'_>,
        queries: &Queries<'_>,
        group: usize,
    ) -> Vec<Vec<(usize, Range<usize>)>> {
        let longest =
            family.segments.iter().flat_map(|own| own.rows.last()).map(|&row| queries.places[row] + 1).max();
        let most = (MAX_SCORES / longest.unwrap_or(1).max(1) / group).clamp(1, (MAX_ROWS / group).max(1));
        let mut jobs = Vec::new();
        let mut job: Vec<(usize, Range<usize>)> = Vec::new();
        let mut room = most;
        for (segment, own) in family.segments.iter().enumerate() {
            let mut row = 0;
            while row < own.rows.len() {
                let count = room.min(own.rows.len() - row);
                job.push((segment, row..row + count));
                row += count;
                room -= count;
                if room == 0 {
                    jobs.push(std::mem::take(&mut job));
                    room = most;
                }
            }
        }
        if !job.is_empty() {
            jobs.push(job);
        }
        jobs
    }

    fn job(
        &self,
        chain: &[Seen<'_>],
        pieces: &[Piece<'_>],
        head: usize,
        queries: &Queries<'_>,
        to: &Table<'_>,
    ) {
        let (width, value_width) = (self.shape.head_dim, self.shape.value_width());
        let group = queries.heads / self.shape.kv_heads;
        let rows: Vec<usize> =
            pieces.iter().flat_map(|piece| &piece.own.rows[piece.rows.clone()]).copied().collect();
        let places = || rows.iter().map(|&row| queries.places[row]);
        let first_seen = places().map(|place| self.first_seen(place)).min().unwrap_or(0);
        // A multiple of 16, so that a place's lane in sums is always the same.
        let base = first_seen / UNIT * UNIT;
        let end = places().max().map_or(0, |place| place + 1);
        // Kernels write whole units, beyond a segment's end too.
        let stride = (end - base).next_multiple_of(UNIT) + UNIT;
        let lines = rows.len() * group;
        let unit = width * UNIT;
        with_scratch(lines * (width + stride + value_width) + unit, |scratch| {
            let (q, scratch) = scratch.split_at_mut(lines * width);
            let (scores, scratch) = scratch.split_at_mut(lines * stride);
            let (sums, padded) = scratch.split_at_mut(lines * value_width);
            for (line, q) in q.chunks_mut(width).enumerate() {
                let at = rows[line / group] * queries.stride + (head * group + line % group) * width;
                let factor = 1.0 / (width as f32).sqrt();
                scale(self.vector, Dtype::F32, &queries.numbers[at..at + width], factor, q);
            }
            let lines = |piece: &Range<usize>| piece.start * group..piece.end * group;
            let spans = spans(pieces);
            let all = 0..rows.len();
            let mut score = |seen: &Seen<'_>, of: &Range<usize>, until: usize| {
                let of = lines(of);
                self.score(
                    seen,
                    head,
                    &q[of.start * width..of.end * width],
                    &mut scores[of.start * stride..of.end * stride],
                    stride,
                    base,
                    until,
                    padded,
                );
            };
            for seen in chain {
                score(seen, &all, usize::MAX);
            }
            for (piece, span) in pieces.iter().zip(&spans) {
                let last =
                    piece.own.rows[piece.rows.clone()].last().map_or(0, |&row| queries.places[row] + 1);
                score(&piece.own.seen, span, last);
            }
            let mut totals = Vec::with_capacity(rows.len() * group);
            for (line, scores) in scores.chunks_mut(stride).enumerate() {
                let place = queries.places[rows[line / group]];
                let seen = self.first_seen(place) - base..place + 1 - base;
                totals.push(softmax(self.vector, Dtype::F32, scores, seen.start, seen.end));
            }
            let mut sum = |seen: &Seen<'_>, of: &Range<usize>, until: usize, first: bool| {
                let of = lines(of);
                self.sum(
                    seen,
                    head,
                    &scores[of.start * stride..of.end * stride],
                    stride,
                    base,
                    until,
                    first,
                    &mut sums[of.start * value_width..of.end * value_width],
                )
            };
            let mut first = true;
            for seen in chain {
                first &= !sum(seen, &all, usize::MAX, first);
            }
            for (piece, span) in pieces.iter().zip(&spans) {
                let last =
                    piece.own.rows[piece.rows.clone()].last().map_or(0, |&row| queries.places[row] + 1);
                sum(&piece.own.seen, span, last, first);
            }
            for (line, (sums, total)) in sums.chunks(value_width).zip(&totals).enumerate() {
                // SAFETY: each job has its own rows and heads.
                let to = unsafe { to.part(rows[line / group], (head * group + line % group) * width, width) };
                scale(self.vector, self.shape.dtype, &sums[..width], 1.0 / total, to);
            }
        });
    }

    /// The first place that a row sees.
    fn first_seen(&self, place: usize) -> usize {
        self.window.map_or(0, |window| (place + 1).saturating_sub(window))
    }

    /// Scores of lines of queries with the keys of a segment that lie from `base` on and before `until`.
    #[allow(clippy::too_many_arguments, reason = "one product's operands")]
    fn score(
        &self,
        seen: &Seen<'_>,
        head: usize,
        q: &[f32],
        scores: &mut [f32],
        stride: usize,
        base: usize,
        until: usize,
        padded: &mut [f32],
    ) {
        let width = self.shape.head_dim;
        let length = seen.length.min(until.saturating_sub(seen.start));
        let lines = q.len() / width;
        let mut unit = base.saturating_sub(seen.start) / UNIT;
        while unit * UNIT < length {
            // Keys of the unit that lie before `base` would be written in front of the line.
            let place = seen.start + unit * UNIT;
            let (keys, wide) = seen.rows.keys(self.shape, unit, head);
            // More may be kept than is seen: what a failed pass left.
            let is_whole = wide == UNIT && place >= base && (unit + 1) * UNIT <= seen.length;
            let whole =
                if is_whole { seen.length.min(length.next_multiple_of(UNIT)) / UNIT - unit } else { 0 };
            let (b, b_row, format, units, column) = match is_whole {
                true => (keys.as_ptr(), UNIT * self.shape.size(), self.shape.format(), whole, place - base),
                false => {
                    let skipped = base.saturating_sub(place);
                    self.widen(keys, wide, skipped, padded);
                    (padded.as_ptr().cast(), 4 * UNIT, vector::Format::F32, 1, place + skipped - base)
                }
            };
            let product = Product {
                a: q.as_ptr(),
                lda: width,
                b,
                b_row,
                b_unit: self.shape.key_unit_bytes(),
                k: width,
                c: scores[column..].as_mut_ptr(),
                ldc: stride,
                first: true,
            };
            // SAFETY: `q` is `lines` rows of `width`; `units` whole units of keys lie `b_unit` apart, or one is in `padded`;
            // lines of scores reach a unit beyond the last place that is seen.
            unsafe { vector::multiply(self.vector, format, product, lines, units) };
            unit += units;
        }
    }

    /// A narrow unit of keys in single precision, `[head_dim][16]`, without its first `skipped` keys.
    fn widen(&self, keys: &[u8], wide: usize, skipped: usize, to: &mut [f32]) {
        let size = self.shape.size();
        to.fill(0.0);
        for (line, to) in keys.chunks(wide * size).zip(to.chunks_mut(UNIT)) {
            for (key, to) in line.chunks(size).skip(skipped).zip(to) {
                *to = match (self.shape.dtype, key) {
                    (Dtype::F32, &[a, b, c, d]) => f32::from_ne_bytes([a, b, c, d]),
                    (Dtype::F16, &[a, b]) => half::f16::from_ne_bytes([a, b]).to_f32(),
                    (_, &[a, b]) => half::bf16::from_ne_bytes([a, b]).to_f32(),
                    _ => f32::NAN,
                };
            }
        }
    }

    /// Adds a segment's values, weighted by their exponentials; whether there were any.
    #[allow(clippy::too_many_arguments, reason = "one product's operands")]
    fn sum(
        &self,
        seen: &Seen<'_>,
        head: usize,
        scores: &[f32],
        stride: usize,
        base: usize,
        until: usize,
        first: bool,
        sums: &mut [f32],
    ) -> bool {
        let value_width = self.shape.value_width();
        let length = seen.length.min(until.saturating_sub(seen.start));
        let skipped = base.saturating_sub(seen.start);
        if skipped >= length {
            return false;
        }
        let product = Product {
            a: scores[seen.start + skipped - base..].as_ptr(),
            lda: stride,
            b: seen.rows.values(self.shape, skipped, head).as_ptr(),
            b_row: self.shape.value_bytes(),
            b_unit: UNIT * self.shape.size(),
            k: length - skipped,
            c: sums.as_mut_ptr(),
            ldc: value_width,
            first,
        };
        // SAFETY: lines of scores hold all places up to the last that is seen, values of the segment reach to its length,
        // and `sums` is as many lines of `value_width`.
        unsafe {
            let lines = sums.len() / value_width;
            vector::multiply(self.vector, self.shape.format(), product, lines, value_width / UNIT);
        }
        true
    }
}

/// Where each piece's rows lie among a job's.
fn spans(pieces: &[Piece<'_>]) -> Vec<Range<usize>> {
    let mut start = 0;
    pieces
        .iter()
        .map(|piece| {
            let span = start..start + piece.rows.len();
            start = span.end;
            span
        })
        .collect()
}

//! Attention by vectors, in single precision.

use super::attention::{Attention, BLOCK, Group, Lines, Part, Queries, for_each_job};
use super::gather::{Gathered, value_width};
use super::inputs::{Places, Rows};
use super::memory::with_scratch;
use super::rows::{scale, softmax};
use super::vector::{self, Format, Product, UNIT};
use crate::model::Dtype;

/// Scores of a job are at most about as many: 1 MiB, which stays in the second cache.
const MAX_SCORES: usize = 1 << 18;
/// Lines of a job, at most.
const MAX_LINES: usize = 112;

/// One attention over gathered parts.
struct Wide<'a> {
    attention: &'a Attention,
    parts: &'a [Part<'a>],
    gathered: &'a Gathered,
    queries: &'a Queries<'a>,
    to: Places<'a>,
}

pub fn attend(
    attention: &Attention,
    groups: &[Group],
    parts: &[Part<'_>],
    gathered: &Gathered,
    queries: &Queries<'_>,
    to: &mut Rows,
) {
    let wide = Wide { attention, parts, gathered, queries, to: to.places() };
    let most = |group: &Group| {
        let ends = group.members.iter().flat_map(|member| member.rows.last());
        let end = ends.map(|&row| queries.places[row] + 1).max().unwrap_or(0);
        (MAX_SCORES / (end - group.base.min(end)).max(1)).clamp(1, MAX_LINES)
    };
    let heads = (queries.heads, attention.shape.kv_heads);
    for_each_job(groups, most, heads, queries.places, |group, lines, head| wide.job(group, lines, head));
}

impl Wide<'_> {
    fn job(&self, group: &Group, lines: &Lines, head: usize) {
        let shape = self.attention.shape;
        let (width, value_width) = (shape.head_dim, value_width(shape));
        let query_heads = self.queries.heads / shape.kv_heads;
        let (base, end) = (group.base, lines.end());
        // Kernels write whole units.
        let stride = (end - base).next_multiple_of(BLOCK);
        let count = lines.of.len();
        let vector = self.attention.isa.vector;
        let own =
            lines.pieces.iter().map(|piece| self.parts[piece.own].places).max().unwrap_or(0) * value_width;
        with_scratch(count * (width + stride + value_width) + own, |scratch| {
            let (q, scratch) = scratch.split_at_mut(count * width);
            let (scores, scratch) = scratch.split_at_mut(count * stride);
            let (sums, own) = scratch.split_at_mut(count * value_width);
            let factor = 1.0 / (width as f32).sqrt();
            for ((row, in_group), q) in lines.of.iter().zip(q.chunks_exact_mut(width)) {
                let at = row * self.queries.stride + (head * query_heads + in_group) * width;
                scale(vector, Dtype::F32, &self.queries.numbers[at..at + width], factor, q);
            }
            // Of each part the lines that see it, and the place behind the last that they see.
            let shared = group.shared.map(|part| (&self.parts[part], 0..count, group.own_first));
            let pieces =
                lines.pieces.iter().map(|piece| (&self.parts[piece.own], piece.lines.clone(), piece.end));
            let seen: Vec<_> = shared.into_iter().chain(pieces).collect();
            for (part, of, end) in &seen {
                let keys = self.gathered.single_keys(vector, part, head, own);
                let product = Product {
                    a: q[of.start * width..].as_ptr(),
                    lda: width,
                    b: keys.as_ptr().cast(),
                    b_row: UNIT * size_of::<f32>(),
                    b_unit: UNIT * width * size_of::<f32>(),
                    k: width,
                    c: scores[of.start * stride + part.first - base..].as_mut_ptr(),
                    ldc: stride,
                    first: true,
                };
                let units = (end - part.first).div_ceil(UNIT);
                assert!(
                    units * UNIT <= part.places && of.end <= count,
                    "a part has the places that are seen"
                );
                // SAFETY: `q` and `scores` have the lines of `of`; the part has so many units of keys, and a line of scores
                // reaches beyond the last of them.
                unsafe { vector::multiply(vector, Format::F32, product, of.len(), units) };
            }
            let mut totals = Vec::with_capacity(count);
            for ((row, _), scores) in lines.of.iter().zip(scores.chunks_exact_mut(stride)) {
                let place = self.queries.places[*row];
                let first = self.attention.first_seen(place) - base;
                totals.push(softmax(vector, Dtype::F32, scores, first, place + 1 - base));
            }
            for (number, (part, of, end)) in seen.iter().enumerate() {
                let values = self.gathered.single_values(vector, part, head, own);
                let product = Product {
                    a: scores[of.start * stride + part.first - base..].as_ptr(),
                    lda: stride,
                    b: values.as_ptr().cast(),
                    b_row: value_width * size_of::<f32>(),
                    b_unit: UNIT * size_of::<f32>(),
                    k: end - part.first,
                    c: sums[of.start * value_width..].as_mut_ptr(),
                    ldc: value_width,
                    // The shared part, or an own one where there is none, is a line's first.
                    first: number == 0 || group.shared.is_none(),
                };
                // SAFETY: as above, with values and sums in place of keys and scores.
                unsafe { vector::multiply(vector, Format::F32, product, of.len(), value_width / UNIT) };
            }
            let lines = lines.of.iter().zip(sums.chunks_exact_mut(value_width)).zip(&totals);
            for (((row, in_group), sums), total) in lines {
                // Nobody needs the first line of queries any more.
                let scaled = &mut q[..width];
                scale(vector, shape.dtype, &sums[..width], 1.0 / total, scaled);
                // SAFETY: each line of each job has its own places.
                unsafe {
                    self.to.write(vector, shape.dtype, *row, (head * query_heads + in_group) * width, scaled)
                };
            }
        });
    }
}

//! Attention with vector instructions: queries as rows, panels of 32 positions or of 32 value elements as
//! columns.
//!
//! In bfloat16 models both products take bfloat16 operands, exponentials included, as torch's attention does:
//! with `vdpbf16ps`, or widened, which gives bitwise the same result. Other models are computed in single
//! precision.

use std::ops::Range;

use super::groups::{Attention, Group, KV_BLOCK, KvLayout, KvRange, Queries, QueryTile, for_each_tile};
use super::kv_layout::{KeyOrValue, KvSource, PackedKv, value_width};
use crate::kernels::dtype::Dtype;
use crate::kernels::elementwise::{scale, softmax};
use crate::kernels::gemm::activations::{GemmInput, RowWriter};
use crate::kernels::gemm::args::{GemmArgs, Panel};
use crate::kernels::gemm::simd::{self, PanelFormat};
#[cfg(target_arch = "x86_64")]
use crate::kernels::gemm::{
    bf16_dot::{Bf16Dot, narrow},
    kernel::GemmKernel,
};
use crate::kernels::isa::Bf16Path;
use crate::kernels::layout::{LANES, NR};
use crate::kernels::memory::{bytes_of, halves, halves_of, with_scratch};

/// Approximate maximum of scores of a job: 1 MiB, which stays in the second-level cache.
const MAX_SCORES: usize = 1 << 18;
/// Queries of a job, at most.
const MAX_QUERIES: usize = 112;
const _: () = assert!(NR == KV_BLOCK, "a block's positions are a panel");

/// How products are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arithmetic {
    F32,
    /// Pairs of bfloat16 elements, widened.
    Widened,
    /// Pairs with `vdpbf16ps`. A row's elements are bfloat16, in the first half of the row's single-precision
    /// memory.
    #[cfg(target_arch = "x86_64")]
    Dot,
}

/// One attention over packed ranges.
struct SimdAttention<'a> {
    attention: &'a Attention,
    ranges: &'a [KvRange<'a>],
    packed: &'a PackedKv,
    queries: &'a Queries<'a>,
    arithmetic: Arithmetic,
    to: RowWriter<'a>,
}

/// A range, the tile's queries that attend to it, and one past the last position that they attend to.
type Attended<'p> = (&'p KvRange<'p>, Range<usize>, usize);

/// Rows of a product, `stride` elements apart.
struct RowsOf<'a> {
    numbers: &'a [f32],
    stride: usize,
}

/// Computes attention: `to` gets `[rows][heads * head_dim]`.
pub fn attend(
    attention: &Attention,
    layout: KvLayout,
    groups: &[Group],
    ranges: &[KvRange<'_>],
    packed: &PackedKv,
    queries: &Queries<'_>,
    to: &mut GemmInput,
) {
    let arithmetic = match (layout, attention.isa.bf16) {
        (KvLayout::Bf16Pairs, Bf16Path::Widened) => Arithmetic::Widened,
        #[cfg(target_arch = "x86_64")]
        (KvLayout::Bf16Pairs, _) => Arithmetic::Dot,
        _ => Arithmetic::F32,
    };
    let of = SimdAttention { attention, ranges, packed, queries, arithmetic, to: to.writer() };
    let most = |group: &Group| {
        let ends = group.members.iter().flat_map(|member| member.rows.last());
        let end = ends.map(|&row| queries.positions[row] + 1).max().unwrap_or(0);
        (MAX_SCORES / (end - group.base.min(end)).max(1)).clamp(1, MAX_QUERIES)
    };
    let heads = (queries.heads, attention.shape.kv_heads);
    for_each_tile(groups, most, heads, queries.positions, |group, tile, head| of.job(group, tile, head));
}

impl SimdAttention<'_> {
    fn job(&self, group: &Group, tile: &QueryTile, head: usize) {
        let shape = self.attention.shape;
        let (width, value_width) = (shape.head_dim, value_width(shape));
        let query_heads = self.queries.heads / shape.kv_heads;
        let (base, end) = (group.base, tile.end());
        // Kernels write whole panels. The stride is an odd number of cache lines: rows a power of two apart
        // would share the same sets of the first-level cache.
        let stride = (end - base).next_multiple_of(KV_BLOCK) + LANES;
        let count = tile.queries.len();
        let vector = self.attention.isa.vector;
        let own = tile.segments.iter().map(|segment| self.ranges[segment.own].length).max().unwrap_or(0);
        with_scratch(count * (width + stride + value_width) + own * value_width, |scratch| {
            let (q, scratch) = scratch.split_at_mut(count * width);
            let (scores, scratch) = scratch.split_at_mut(count * stride);
            let (sums, own) = scratch.split_at_mut(count * value_width);
            let factor = 1.0 / (width as f32).sqrt();
            for ((row, in_group), q) in tile.queries.iter().zip(q.chunks_exact_mut(width)) {
                let at = row * self.queries.stride + (head * query_heads + in_group) * width;
                self.pack_query(&self.queries.numbers[at..at + width], factor, q);
            }
            let attended: Vec<Attended<'_>> = self.attended(group, tile).collect();
            for (range, of, end) in &attended {
                let q = RowsOf { numbers: &q[of.start * width..], stride: width };
                let scores = &mut scores[of.start * stride + range.first - base..];
                let blocks = (end - range.first).div_ceil(KV_BLOCK);
                self.score(&self.source(range, head), blocks, of.len(), q, (scores, stride), own);
            }
            let mut totals = Vec::with_capacity(count);
            for ((row, _), scores) in tile.queries.iter().zip(scores.chunks_exact_mut(stride)) {
                let position = self.queries.positions[*row];
                let first = self.attention.first_position(position) - base;
                totals.push(self.weigh(scores, first, position + 1 - base, factor));
            }
            for (number, (range, of, end)) in attended.iter().enumerate() {
                // A query's first range is the shared one or, without one, its own.
                let accumulate = number > 0 && group.shared.is_some();
                let weights = RowsOf { numbers: &scores[of.start * stride..], stride };
                let sums = &mut sums[of.start * value_width..];
                self.sum(&self.source(range, head), (base, *end), of.len(), weights, sums, accumulate, own);
            }
            let rows = tile.queries.iter().zip(sums.chunks_exact_mut(value_width)).zip(&totals);
            for (((row, in_group), sums), total) in rows {
                // The first query is no longer needed.
                let scaled = &mut q[..width];
                scale(vector, shape.dtype, &sums[..width], 1.0 / total, scaled);
                let column = (head * query_heads + in_group) * width;
                // SAFETY: each query of each job writes its own elements.
                unsafe { self.to.write(vector, shape.dtype, *row, column, scaled) };
            }
        });
    }

    /// The ranges that a tile's queries attend to, in order of positions.
    fn attended<'p>(&'p self, group: &Group, tile: &'p QueryTile) -> impl Iterator<Item = Attended<'p>> {
        let end = group.own_first;
        let shared = group.shared.map(|range| (&self.ranges[range], 0..tile.queries.len(), end));
        let own = tile.segments.iter();
        let own = own.map(|segment| (&self.ranges[segment.own], segment.queries.clone(), segment.end));
        shared.into_iter().chain(own)
    }

    fn source<'p>(&self, range: &'p KvRange<'p>, head: usize) -> KvSource<'p> {
        KvSource { vector: self.attention.isa.vector, shape: self.attention.shape, range, head }
    }

    /// Bytes of a packed element, and terms that are packed together.
    fn packing(&self) -> (usize, usize) {
        if self.arithmetic == Arithmetic::F32 { (4, 1) } else { (2, 2) }
    }

    /// Scores of the first `count` queries of `q` at the positions of a range's first `blocks` blocks.
    fn score(
        &self,
        source: &KvSource<'_>,
        blocks: usize,
        count: usize,
        q: RowsOf<'_>,
        (scores, stride): (&mut [f32], usize),
        own: &mut [f32],
    ) {
        let width = source.shape.head_dim;
        let (size, _) = self.packing();
        let (row, half) = match self.arithmetic {
            Arithmetic::F32 => (LANES * size, LANES * width * size),
            _ => (2 * NR * size, 2 * LANES * size),
        };
        let keys = self.numbers(KeyOrValue::Keys, source, own).chunks_exact(KV_BLOCK * width * size);
        for (block, bytes) in keys.enumerate().take(blocks) {
            let c = (&mut scores[block * KV_BLOCK..], stride);
            self.multiply(&q, count, width, Panel { bytes, row, half }, c, false);
        }
    }

    /// Weighted sums of a range's values before position `end`, for the first `count` queries of `weights`,
    /// which begin at position `base`.
    #[allow(clippy::too_many_arguments, reason = "two operands, where they begin, and where the sums go")]
    fn sum(
        &self,
        source: &KvSource<'_>,
        (base, end): (usize, usize),
        count: usize,
        weights: RowsOf<'_>,
        sums: &mut [f32],
        mut accumulate: bool,
        own: &mut [f32],
    ) {
        let (range, value_width) = (source.range, value_width(source.shape));
        let (_, pair) = self.packing();
        let mut multiply = |position: usize, terms: usize, values: &[u8], row: usize| {
            let first = (position - base) / if self.is_narrowed() { 2 } else { 1 };
            let weights = RowsOf { numbers: &weights.numbers[first..], ..weights };
            for column in (0..value_width).step_by(NR) {
                // A row of pairs has as many bytes as a row of single-precision elements.
                let bytes = &values[column * size_of::<f32>()..];
                let panel = Panel { bytes, row, half: LANES * size_of::<f32>() };
                let c = (&mut sums[column..], value_width);
                self.multiply(&weights, count, terms, panel, c, accumulate);
            }
            accumulate = true;
        };
        if let Some(runs) = source.values_in_place(end) {
            let mut position = range.first;
            for (terms, values) in runs {
                multiply(position, terms, values, source.shape.row_bytes());
                position += terms;
            }
            return;
        }
        let values = self.numbers(KeyOrValue::Values, source, own);
        // Whole pairs are multiplied; weights beyond the end are zero.
        let terms = (end - range.first).next_multiple_of(pair);
        multiply(range.first, terms, values, value_width * size_of::<f32>());
    }

    /// Packed keys or values, as bytes.
    fn numbers<'s>(&'s self, kv: KeyOrValue, source: &KvSource<'_>, own: &'s mut [f32]) -> &'s [u8] {
        match self.arithmetic {
            Arithmetic::F32 => bytes_of(self.packed.f32(kv, source, own)),
            _ => bytes_of(self.packed.bf16(kv, source, halves(own))),
        }
    }

    fn pack_query(&self, query: &[f32], factor: f32, to: &mut [f32]) {
        match self.arithmetic {
            Arithmetic::F32 => scale(self.attention.isa.vector, Dtype::F32, query, factor, to),
            Arithmetic::Widened => to.copy_from_slice(query),
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Dot => {
                to.copy_from_slice(query);
                narrow(to);
            }
        }
    }

    /// Whether queries and weights are bfloat16, in half of their memory.
    fn is_narrowed(&self) -> bool {
        !matches!(self.arithmetic, Arithmetic::F32 | Arithmetic::Widened)
    }

    /// Turns scores into weights; returns their sum before rounding.
    fn weigh(&self, scores: &mut [f32], from: usize, to: usize, factor: f32) -> f32 {
        let vector = self.attention.isa.vector;
        match self.arithmetic {
            // Queries are already scaled by the factor.
            Arithmetic::F32 => softmax(vector, Dtype::F32, scores, from, to, 1.0),
            Arithmetic::Widened => softmax(vector, Dtype::Bf16, scores, from, to, factor),
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Dot => {
                // `narrow` rounds them, to the same values.
                let total = softmax(vector, Dtype::F32, scores, from, to, factor);
                narrow(scores);
                total
            }
        }
    }

    /// Multiplies `m` rows of `a` by a panel of `k` terms.
    fn multiply(
        &self,
        a: &RowsOf<'_>,
        m: usize,
        k: usize,
        b: Panel<'_>,
        (c, ldc): (&mut [f32], usize),
        accumulate: bool,
    ) {
        let format = match self.arithmetic {
            Arithmetic::F32 => PanelFormat::F32,
            Arithmetic::Widened => PanelFormat::Bf16Pairs,
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Dot => {
                let a = (halves_of(a.numbers), 2 * a.stride);
                return Bf16Dot::multiply(&mut GemmArgs::of_vectors(m, k, a, b, (c, ldc), accumulate));
            }
        };
        let kernel = simd::kernel(self.attention.isa.vector, format);
        let a = (a.numbers, a.stride);
        (kernel.multiply)(&mut GemmArgs::of_vectors(m, k, a, b, (c, ldc), accumulate));
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::kernels::attention::groups::{KvSpan, SegmentQueries};
    use crate::kernels::attention::kv_rows::{KvRows, KvShape};
    use crate::kernels::gemm::activations::Numbers;
    use crate::kernels::isa::Isa;
    use crate::kernels::testing::numbers;
    use crate::kernels::weight_format::of_dtype;

    /// Rows of two segments that continue a prefix of 45 positions; `counts` are their numbers of rows.
    struct Case {
        shape: KvShape,
        heads: usize,
        window: Option<usize>,
        counts: [usize; 2],
    }

    const PREFIX: usize = 45;

    impl Case {
        fn cached(&self, isa: Isa, seed: u64, positions: usize) -> KvRows {
            let width = self.shape.kv_heads * self.shape.head_dim;
            let (keys, values) = (numbers(positions * width, seed), numbers(positions * width, seed + 100));
            let row = |row: usize| (&keys[row * width..][..width], &values[row * width..][..width]);
            let mut cached = KvRows::default();
            cached.append(isa.vector, self.shape, 0, positions, row);
            cached
        }

        /// The result of the requested rows of each segment, as bits.
        fn attended(&self, isa: Isa, requested: [std::ops::Range<usize>; 2]) -> Vec<u32> {
            let KvShape { head_dim, dtype, .. } = self.shape;
            let width = self.heads * head_dim;
            let prefix = self.cached(isa, 1, PREFIX);
            let own = [self.cached(isa, 2, self.counts[0]), self.cached(isa, 3, self.counts[1])];
            let all = numbers((self.counts[0] + self.counts[1]) * width, 4);
            let (mut q, mut positions, mut segments) = (Vec::new(), Vec::new(), Vec::new());
            for (segment, range) in requested.into_iter().enumerate() {
                let first = positions.len();
                for row in range {
                    q.extend_from_slice(&all[(segment * self.counts[0] + row) * width..][..width]);
                    positions.push(PREFIX + row);
                }
                if positions.len() > first {
                    let chain = vec![KvSpan { start: 0, length: PREFIX, rows: &prefix }];
                    let own = KvSpan { start: PREFIX, length: self.counts[segment], rows: &own[segment] };
                    segments.push(SegmentQueries { rows: (first..positions.len()).collect(), chain, own });
                }
            }
            let queries = Queries { numbers: &q, stride: width, positions: &positions, heads: self.heads };
            let kernel = of_dtype(dtype).kernel(isa);
            let mut to = GemmInput::zeros(&kernel, positions.len(), width).unwrap();
            let mut packed = PackedKv::new(self.shape).unwrap();
            let attention = Attention { isa, shape: self.shape, window: self.window };
            attention.attend(segments, &queries, &mut packed, &mut to).unwrap();
            let number = |at: usize| match &to.numbers {
                Numbers::F32(numbers) => numbers[at].to_bits(),
                Numbers::Bf16(numbers) | Numbers::Bf16x3(numbers) => {
                    bf16::from_bits(numbers[at]).to_f32().to_bits()
                }
            };
            let row = |row: usize| (0..width).map(move |d| row * to.stride + d);
            (0..positions.len()).flat_map(row).map(number).collect()
        }
    }

    #[test]
    fn all_paths_give_a_row_the_same_bits_in_any_company() {
        let isas: Vec<Isa> = Isa::all().into_iter().filter(|isa| !isa.has_tiles()).collect();
        for (head_dim, heads, counts) in
            [(2, 2, [1, 1]), (24, 6, [37, 2]), (64, 6, [70, 1]), (80, 4, [3, 50])]
        {
            for (dtype, window) in
                [(Dtype::Bf16, None), (Dtype::Bf16, Some(40)), (Dtype::F32, None), (Dtype::F32, Some(7))]
            {
                let case = Case { shape: KvShape { kv_heads: 2, head_dim, dtype }, heads, window, counts };
                let what = format!("{head_dim} numbers, {dtype}, window {window:?}");
                let expected = case.attended(isas[0], [0..counts[0], 0..counts[1]]);
                assert!(expected.iter().any(|&bits| bits != 0), "{what}");
                for &isa in &isas {
                    let found = case.attended(isa, [0..counts[0], 0..counts[1]]);
                    assert!(found == expected, "{isa:?}: {what}");
                    let width = heads * head_dim;
                    for row in [0, counts[0] - 1] {
                        let alone = case.attended(isa, [row..row + 1, 0..0]);
                        assert!(
                            alone == expected[row * width..][..width],
                            "{isa:?}: row {row} alone, {what}"
                        );
                    }
                    let second = case.attended(isa, [0..0, 0..counts[1]]);
                    assert!(second == expected[counts[0] * width..], "{isa:?}: the second alone, {what}");
                }
            }
        }
    }
}

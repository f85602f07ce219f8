//! Attention by vectors: lines of queries as rows, panels of 32 places or of 32 numbers of values as columns.
//!
//! Of bfloat16 models both products take bfloat16 numbers, exponentials among them, as torch's attention does: by `vdpbf16ps`, or
//! widened, which gives the same bits. All others are computed in single precision.

use super::attention::{Attention, BLOCK, Group, Lines, Part, Queries, for_each_job};
use super::dot::{self, PairProduct};
use super::gather::{Gathered, Kind, What, kept_values, value_width};
use super::inputs::{Places, Rows};
use super::isa::Bf16;
use super::matrix::PANEL;
use super::memory::{bytes_of, halves, with_scratch};
use super::rows::{scale, softmax};
use super::vector::{self, Format, Product, UNIT};
use crate::model::Dtype;

/// Scores of a job are at most about as many: 1 MiB, which stays in the second cache.
const MAX_SCORES: usize = 1 << 18;
/// Lines of a job, at most.
const MAX_LINES: usize = 112;
const _: () = assert!(PANEL == BLOCK, "a block's places are a panel");

/// How products are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Single,
    /// Pairs of bfloat16 numbers, widened.
    Widened,
    /// Pairs by `vdpbf16ps`. A line's numbers are bfloat16, in the first half of where single-precision ones would be.
    Dot,
}

/// One attention over gathered parts.
struct Wide<'a> {
    attention: &'a Attention,
    parts: &'a [Part<'a>],
    gathered: &'a Gathered,
    queries: &'a Queries<'a>,
    way: Way,
    to: Places<'a>,
}

/// Lines times a panel.
struct Panel<'a> {
    /// `lda` numbers from line to line.
    a: &'a [f32],
    lda: usize,
    /// From the panel's first column on; bytes from term to term (of pairs: from pair to pair), and from its first 16 columns to
    /// the others.
    b: *const u8,
    b_row: usize,
    b_unit: usize,
    terms: usize,
    c: &'a mut [f32],
    ldc: usize,
    first: bool,
}

pub fn attend(
    attention: &Attention,
    groups: &[Group],
    parts: &[Part<'_>],
    gathered: &Gathered,
    queries: &Queries<'_>,
    to: &mut Rows,
) {
    let way = match (attention.kind(), attention.isa.bf16) {
        (Kind::Pairs, Bf16::Widened) => Way::Widened,
        (Kind::Pairs, _) => Way::Dot,
        _ => Way::Single,
    };
    let wide = Wide { attention, parts, gathered, queries, way, to: to.places() };
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
        // Kernels write whole panels. An odd number of cache lines: lines a power of two apart would fall on the same of the fastest
        // cache's places.
        let stride = (end - base).next_multiple_of(BLOCK) + UNIT;
        let count = lines.of.len();
        let vector = self.attention.isa.vector;
        let places = lines.pieces.iter().map(|piece| self.parts[piece.own].places).max().unwrap_or(0);
        with_scratch(count * (width + stride + value_width) + places * value_width, |scratch| {
            let (q, scratch) = scratch.split_at_mut(count * width);
            let (scores, scratch) = scratch.split_at_mut(count * stride);
            let (sums, own) = scratch.split_at_mut(count * value_width);
            let factor = 1.0 / (width as f32).sqrt();
            for ((row, in_group), q) in lines.of.iter().zip(q.chunks_exact_mut(width)) {
                let at = row * self.queries.stride + (head * query_heads + in_group) * width;
                self.bring_query(&self.queries.numbers[at..at + width], factor, q);
            }
            // Of each part the lines that see it, and the place behind the last that they see.
            let shared = group.shared.map(|part| (&self.parts[part], 0..count, group.own_first));
            let pieces =
                lines.pieces.iter().map(|piece| (&self.parts[piece.own], piece.lines.clone(), piece.end));
            let seen: Vec<_> = shared.into_iter().chain(pieces).collect();
            // Bytes of a number, and terms that lie together.
            let (size, pair) = if self.way == Way::Single { (4, 1) } else { (2, 2) };
            for (part, of, end) in &seen {
                let keys = self.numbers(What::Keys, part, head, own);
                let (b_row, b_unit) = match self.way {
                    Way::Single => (UNIT * size, UNIT * width * size),
                    Way::Widened | Way::Dot => (2 * PANEL * size, 2 * UNIT * size),
                };
                let blocks = keys.chunks_exact(BLOCK * width * size);
                for (block, keys) in blocks.enumerate().take((end - part.first).div_ceil(BLOCK)) {
                    let (b, at) = (keys.as_ptr(), of.start * stride + part.first - base + block * BLOCK);
                    let (a, lda, terms) = (&q[of.start * width..], width, width);
                    let (c, ldc, first) = (&mut scores[at..], stride, true);
                    // SAFETY: a block of keys, each as long as a query.
                    unsafe {
                        self.multiply(Panel { a, lda, b, b_row, b_unit, terms, c, ldc, first }, of.len())
                    };
                }
            }
            let mut totals = Vec::with_capacity(count);
            for ((row, _), scores) in lines.of.iter().zip(scores.chunks_exact_mut(stride)) {
                let place = self.queries.places[*row];
                let first = self.attention.first_seen(place) - base;
                totals.push(self.weigh(scores, first, place + 1 - base, factor));
            }
            for (number, (part, of, end)) in seen.iter().enumerate() {
                // The shared part, or an own one where there is none, is a line's first.
                let mut first = number == 0 || group.shared.is_none();
                let mut multiply = |place: usize, terms: usize, values: &[u8], b_row: usize| {
                    assert!(
                        values.len() >= (terms - 1) * b_row / pair + value_width * size,
                        "values are there"
                    );
                    let a = &scores
                        [of.start * stride + (place - base) / (if self.way == Way::Dot { 2 } else { 1 })..];
                    for column in (0..value_width).step_by(PANEL) {
                        // A row of pairs is as many bytes as one of single-precision numbers.
                        let b = values[column * size_of::<f32>()..].as_ptr();
                        let c = &mut sums[of.start * value_width + column..];
                        let (lda, b_unit, ldc) = (stride, UNIT * size_of::<f32>(), value_width);
                        // SAFETY: so many values, of 32 columns from `column` on.
                        unsafe {
                            self.multiply(Panel { a, lda, b, b_row, b_unit, terms, c, ldc, first }, of.len())
                        };
                    }
                    first = false;
                };
                if let Some(runs) = kept_values(shape, part, head, *end) {
                    let mut place = part.first;
                    for (terms, values) in runs {
                        multiply(place, terms, values, shape.row_bytes());
                        place += terms;
                    }
                    continue;
                }
                let values = self.numbers(What::Values, part, head, own);
                // Pairs are whole; weights behind the end are zero.
                let terms = (end - part.first).next_multiple_of(pair);
                multiply(part.first, terms, values, value_width * size_of::<f32>());
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

    /// Keys or values of a part, as bytes.
    fn numbers<'s>(&'s self, what: What, part: &Part<'_>, head: usize, own: &'s mut [f32]) -> &'s [u8] {
        let vector = self.attention.isa.vector;
        match self.way {
            Way::Single => bytes_of(self.gathered.single(what, vector, part, head, own)),
            Way::Widened | Way::Dot => bytes_of(self.gathered.bf16(what, vector, part, head, halves(own))),
        }
    }

    fn bring_query(&self, query: &[f32], factor: f32, to: &mut [f32]) {
        let vector = self.attention.isa.vector;
        match self.way {
            Way::Single => scale(vector, Dtype::F32, query, factor, to),
            Way::Widened => to.copy_from_slice(query),
            Way::Dot => {
                to.copy_from_slice(query);
                // SAFETY: chosen where the processor has it.
                unsafe { dot::narrow(to) };
            }
        }
    }

    /// Scores to weights, of which the sum is returned.
    fn weigh(&self, scores: &mut [f32], from: usize, to: usize, factor: f32) -> f32 {
        let vector = self.attention.isa.vector;
        match self.way {
            // Queries have the factor already.
            Way::Single => softmax(vector, Dtype::F32, scores, from, to, 1.0),
            Way::Widened => softmax(vector, Dtype::Bf16, scores, from, to, factor),
            Way::Dot => {
                // Rounded when they are brought together, to the same numbers.
                let total = softmax(vector, Dtype::F32, scores, from, to, factor);
                // SAFETY: chosen where the processor has it.
                unsafe { dot::narrow(scores) };
                total
            }
        }
    }

    /// # Safety
    /// `panel.b` points to as many terms of 32 columns as it says, so far apart, in the order of `self.way`.
    unsafe fn multiply(&self, panel: Panel<'_>, lines: usize) {
        let Panel { a, lda, b, b_row, b_unit, terms, c, ldc, first } = panel;
        let numbers = if self.way == Way::Dot { terms / 2 } else { terms };
        let is_there = |length: usize, stride: usize, last: usize| (lines - 1) * stride + last <= length;
        assert!(
            lines > 0 && is_there(a.len(), lda, numbers) && is_there(c.len(), ldc, PANEL),
            "lines have their places"
        );
        let (a, c) = (a.as_ptr(), c.as_mut_ptr());
        let vector = self.attention.isa.vector;
        // SAFETY: lines are there, as just checked, and columns, as the caller says; where `vdpbf16ps` is chosen the processor has
        // it.
        unsafe {
            match self.way {
                Way::Dot => {
                    let (a, b, b_row) = (a.cast(), b.cast(), b_row / size_of::<u32>());
                    let (lda, pairs) = (2 * lda, terms / 2);
                    let product = PairProduct { a, lda, b, b_row, pairs, c, ldc, second: None, first };
                    dot::multiply(product, lines);
                }
                way => {
                    let (format, k) = match way {
                        Way::Single => (Format::F32, terms),
                        _ => (Format::Bf16Pairs, terms / 2),
                    };
                    let product = Product { a, lda, b, b_row, b_unit, k, c, ldc, second: None, first };
                    vector::multiply(vector, format, product, lines);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::super::attention::{Asking, Seen};
    use super::super::inputs::Inputs;
    use super::super::isa::Isa;
    use super::super::kept::{KeptRows, KeptShape};
    use super::super::testing::numbers;
    use super::*;

    /// Rows that continue a prefix of 45 places: so many of a first segment and of a second.
    struct Case {
        shape: KeptShape,
        heads: usize,
        window: Option<usize>,
        counts: [usize; 2],
    }

    const PREFIX: usize = 45;

    impl Case {
        fn kept(&self, isa: Isa, seed: u64, places: usize) -> KeptRows {
            let width = self.shape.kv_heads * self.shape.head_dim;
            let (keys, values) = (numbers(places * width, seed), numbers(places * width, seed + 100));
            let row = |row: usize| (&keys[row * width..][..width], &values[row * width..][..width]);
            let mut kept = KeptRows::default();
            kept.append(isa.vector, self.shape, 0, places, row);
            kept
        }

        /// The result of the rows that are asked for, of each segment, as bits.
        fn attended(&self, isa: Isa, asked: [std::ops::Range<usize>; 2]) -> Vec<u32> {
            let KeptShape { head_dim, dtype, .. } = self.shape;
            let width = self.heads * head_dim;
            let prefix = self.kept(isa, 1, PREFIX);
            let own = [self.kept(isa, 2, self.counts[0]), self.kept(isa, 3, self.counts[1])];
            let all = numbers((self.counts[0] + self.counts[1]) * width, 4);
            let (mut q, mut places, mut asking) = (Vec::new(), Vec::new(), Vec::new());
            for (segment, range) in asked.into_iter().enumerate() {
                let first = places.len();
                for row in range {
                    q.extend_from_slice(&all[(segment * self.counts[0] + row) * width..][..width]);
                    places.push(PREFIX + row);
                }
                if places.len() > first {
                    let chain = vec![Seen { start: 0, length: PREFIX, rows: &prefix }];
                    let own = Seen { start: PREFIX, length: self.counts[segment], rows: &own[segment] };
                    asking.push(Asking { rows: (first..places.len()).collect(), chain, own });
                }
            }
            let queries = Queries { numbers: &q, stride: width, places: &places, heads: self.heads };
            let format = if dtype == Dtype::Bf16 { Format::Bf16Pairs } else { Format::F32 };
            let mut to = Rows::zeros(isa, format, places.len(), width).unwrap();
            let mut gathered = Gathered::new(self.shape).unwrap();
            let attention = Attention { isa, shape: self.shape, window: self.window };
            attention.attend(asking, &queries, &mut gathered, &mut to).unwrap();
            let number = |at: usize| match &to.inputs {
                Inputs::Single(numbers) => numbers[at].to_bits(),
                Inputs::Bf16(numbers) | Inputs::Split(numbers) => {
                    bf16::from_bits(numbers[at]).to_f32().to_bits()
                }
            };
            let row = |row: usize| (0..width).map(move |d| row * to.stride + d);
            (0..places.len()).flat_map(row).map(number).collect()
        }
    }

    #[test]
    fn all_ways_give_a_row_the_same_bits_in_any_company() {
        let isas: Vec<Isa> = Isa::vectors()
            .into_iter()
            .flat_map(|vector| Isa::bf16(vector).into_iter().map(move |bf16| Isa { vector, bf16 }))
            .filter(|isa| isa.bf16 != Bf16::Amx)
            .collect();
        for (head_dim, heads, counts) in
            [(2, 2, [1, 1]), (24, 6, [37, 2]), (64, 6, [70, 1]), (80, 4, [3, 50])]
        {
            for (dtype, window) in
                [(Dtype::Bf16, None), (Dtype::Bf16, Some(40)), (Dtype::F32, None), (Dtype::F32, Some(7))]
            {
                let case = Case { shape: KeptShape { kv_heads: 2, head_dim, dtype }, heads, window, counts };
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

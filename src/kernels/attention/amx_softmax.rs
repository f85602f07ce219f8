//! Softmax between the two products of attention on tiles: each query in its own lane.

use std::arch::x86_64::*;
use std::ops::Range;

use super::groups::KV_BLOCK;
use super::interleave::avx512::transposed;

/// Queries of a tile.
pub const QUERIES: usize = KV_BLOCK;

/// `2^x` for `x <= 0`, to about 2e-7; zero on underflow. NaN stays NaN.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn exp2(x: __m512) -> __m512 {
    // x = n + r with |r| <= 1/2; Taylor's polynomial of 2^r.
    let r = _mm512_reduce_ps::<0>(x);
    let n = _mm512_sub_ps(x, r);
    let mut p = _mm512_set1_ps(1.540_353e-4);
    for coefficient in [1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 0.240_226_5, std::f32::consts::LN_2, 1.0]
    {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(coefficient));
    }
    _mm512_scalef_ps(p, n)
}

/// Turns scores `[position][32]` into weights: `2^((score - highest) * factor)` at the positions that a query
/// attends to, from the first to the last in `attended`, and zero elsewhere, for 16 or 32 queries. Weights are
/// written in place or, rounded to bfloat16, to `rounded`, in pairs of positions. Returns each query's sum
/// before rounding: even and odd positions are summed separately, each in order.
///
/// # Safety
/// The processor has AVX-512 with its bfloat16 conversions.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512bf16")]
pub unsafe fn weigh(
    scores: &mut [f32],
    attended: &[(i32, i32)],
    factor: f32,
    mut rounded: Option<&mut [f32]>,
) -> [f32; QUERIES] {
    let positions = scores.len() / QUERIES;
    let is_enough = |rounded: &&mut [f32]| rounded.len() * 2 >= positions * QUERIES;
    assert!(rounded.as_ref().is_none_or(is_enough), "a pair of positions has a number a query");
    let mut pairs = [0i16; 32];
    for (i, index) in pairs.iter_mut().enumerate() {
        *index = (i / 2 + 16 * (i % 2)) as i16;
    }
    let mut totals = [0.0; QUERIES];
    let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
    for (half, (totals, of)) in totals.chunks_exact_mut(16).zip(attended.chunks_exact(16)).enumerate() {
        let (firsts, lasts): (Vec<i32>, Vec<i32>) = of.iter().copied().unzip();
        // The positions that all of these queries attend to.
        let all = of.iter().map(|attended| attended.0).max().unwrap_or(0)
            ..of.iter().map(|attended| attended.1 + 1).min().unwrap_or(0);
        // SAFETY: `firsts`, `lasts` and `totals` have 16 elements, `pairs` has 64 bytes; scores and weights
        // have `positions` and `positions / 2` rows of 32.
        unsafe {
            let first = _mm512_loadu_si512(firsts.as_ptr().cast());
            let last = _mm512_loadu_si512(lasts.as_ptr().cast());
            let pairs = _mm512_loadu_si512(pairs.as_ptr().cast());
            let attends = |position: usize| {
                let position = _mm512_set1_epi32(position as i32);
                _mm512_cmple_epi32_mask(first, position) & _mm512_cmple_epi32_mask(position, last)
            };
            let all_scores = scores.as_mut_ptr();
            let score = |position: usize| _mm512_loadu_ps(all_scores.add(position * QUERIES + 16 * half));
            let mut highest = [lowest; 2];
            for position in 0..positions {
                let x = if all.contains(&(position as i32)) {
                    score(position)
                } else {
                    _mm512_mask_mov_ps(lowest, attends(position), score(position))
                };
                highest[position % 2] = _mm512_max_ps(highest[position % 2], x);
            }
            let factor = _mm512_set1_ps(factor);
            let shift = _mm512_mul_ps(_mm512_max_ps(highest[0], highest[1]), factor);
            let mut sums = [_mm512_setzero_ps(); 2];
            for pair in 0..positions / 2 {
                let weight = |position: usize| {
                    let y = exp2(_mm512_fmsub_ps(score(position), factor, shift));
                    if all.contains(&(position as i32)) {
                        y
                    } else {
                        _mm512_maskz_mov_ps(attends(position), y)
                    }
                };
                let (even, odd) = (weight(2 * pair), weight(2 * pair + 1));
                sums = [_mm512_add_ps(sums[0], even), _mm512_add_ps(sums[1], odd)];
                let Some(rounded) = &mut rounded else {
                    let to = all_scores.add(2 * pair * QUERIES + 16 * half);
                    _mm512_storeu_ps(to, even);
                    _mm512_storeu_ps(to.add(QUERIES), odd);
                    continue;
                };
                let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(odd, even));
                let both = _mm512_permutexvar_epi16(pairs, both);
                _mm512_storeu_si512(rounded.as_mut_ptr().add(pair * QUERIES + 16 * half).cast(), both);
            }
            _mm512_storeu_ps(totals.as_mut_ptr(), _mm512_add_ps(sums[0], sums[1]));
        }
    }
    totals
}

/// Divides the columns of `sums`, `[row][32]`, by `totals`.
///
/// # Safety
/// The processor has AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn divide(sums: &mut [f32], totals: &[f32; QUERIES]) {
    let mut factors = [0.0; QUERIES];
    factors.iter_mut().zip(totals).for_each(|(factor, total)| *factor = 1.0 / total);
    for sums in sums.chunks_exact_mut(QUERIES) {
        sums.iter_mut().zip(&factors).for_each(|(sum, factor)| *sum *= factor);
    }
}

/// Packs 16 rows of `width` elements, already rounded to bfloat16, as pairs into 16 of the 32 columns of
/// `[width / 2][32]`; missing rows are zero.
///
/// # Safety
/// The processor has AVX-512; `width` is a multiple of 32.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn pack_queries<'a>(row: impl Fn(usize) -> Option<&'a [f32]>, width: usize, to: &mut [f32]) {
    assert!(to.len() >= (width / 2 - 1) * QUERIES + 16, "16 columns of pairs");
    let zero = _mm512_setzero_si512();
    for d in (0..width).step_by(32) {
        let mut queries = [zero; 16];
        for (query, pairs) in queries.iter_mut().enumerate() {
            let Some(row) = row(query) else { continue };
            let numbers = &row[d..d + 32];
            // SAFETY: `numbers` has 32 elements.
            *pairs = unsafe {
                let low = _mm512_loadu_si512(numbers.as_ptr().cast());
                let high = _mm512_loadu_si512(numbers.as_ptr().add(16).cast());
                let low = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(low));
                let high = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(high));
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            };
        }
        for (pair, queries) in transposed(queries).into_iter().enumerate() {
            // SAFETY: 16 columns, as checked above.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().add((d / 2 + pair) * QUERIES).cast(), queries) };
        }
    }
}

/// Writes the first `queries` columns of `sums`, `[width][32]`, at most 16, as rows of bfloat16.
///
/// # Safety
/// The processor has AVX-512 with its bfloat16 conversions; `width` is a multiple of 32.
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn write_rows<'a>(
    sums: &[f32],
    width: usize,
    queries: usize,
    to: impl Fn(usize) -> &'a mut [u16],
) {
    assert!(sums.len() >= (width - 1) * QUERIES + 16, "16 columns of sums");
    for d in (0..width).step_by(16) {
        let mut rows = [_mm512_setzero_si512(); 16];
        for (i, row) in rows.iter_mut().enumerate() {
            // SAFETY: 16 columns, as checked above.
            *row = unsafe { _mm512_loadu_si512(sums.as_ptr().add((d + i) * QUERIES).cast()) };
        }
        for (query, numbers) in transposed(rows).into_iter().enumerate().take(queries) {
            let to = &mut to(query)[d..d + 16];
            // SAFETY: `to` has 16 elements of 16 bits.
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

/// Copies the given columns of rows of 32.
///
/// # Safety
/// The processor has AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn copy_columns(from: &[f32], to: &mut [f32], columns: &Range<usize>) {
    let chosen = columns.clone().fold(0u32, |chosen, column| chosen | 1 << column);
    let halves = [chosen as u16, (chosen >> 16) as u16];
    for (from, to) in from.as_chunks::<QUERIES>().0.iter().zip(to.as_chunks_mut::<QUERIES>().0) {
        for (half, chosen) in halves.into_iter().enumerate().filter(|(_, chosen)| *chosen > 0) {
            // SAFETY: 16 elements, one half of a row of 32.
            unsafe {
                let numbers = _mm512_loadu_ps(from.as_ptr().add(16 * half));
                _mm512_mask_storeu_ps(to.as_mut_ptr().add(16 * half), chosen, numbers);
            }
        }
    }
}

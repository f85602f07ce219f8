//! Softmax between the two products of attention on tiles: each query in a lane of its own.

use std::arch::x86_64::*;
use std::ops::Range;

use super::groups::KV_BLOCK;
use super::interleave::avx512::transposed;

/// Queries of a tile.
pub const QUERIES: usize = KV_BLOCK;

/// `2^x` for `x` that is not above zero, to about 2e-7; zero where it is too small. NaN stays NaN.
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

/// Turns scores `[position][32]` into weights: `2^((score - highest) * factor)` of the positions that a query attends to, first and
/// last of `seen`, zero elsewhere, for 16 queries or 32: in place, or to `rounded`, rounded to bfloat16, in pairs of positions. Returns the
/// queries' sums of what was not rounded, even and odd positions apart, each in order.
///
/// # Safety
/// The processor has AVX-512 with its bfloat16 conversions.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512bf16")]
pub unsafe fn weigh(
    scores: &mut [f32],
    seen: &[(i32, i32)],
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
    for (half, (totals, of)) in totals.chunks_exact_mut(16).zip(seen.chunks_exact(16)).enumerate() {
        let (firsts, lasts): (Vec<i32>, Vec<i32>) = of.iter().copied().unzip();
        // All queries attend to the positions between.
        let all = of.iter().map(|seen| seen.0).max().unwrap_or(0)
            ..of.iter().map(|seen| seen.1 + 1).min().unwrap_or(0);
        // SAFETY: 16 numbers each, 64 bytes of `pairs`; scores and weights have `positions` and `positions / 2` rows of 32.
        unsafe {
            let first = _mm512_loadu_si512(firsts.as_ptr().cast());
            let last = _mm512_loadu_si512(lasts.as_ptr().cast());
            let pairs = _mm512_loadu_si512(pairs.as_ptr().cast());
            let sees = |position: usize| {
                let position = _mm512_set1_epi32(position as i32);
                _mm512_cmple_epi32_mask(first, position) & _mm512_cmple_epi32_mask(position, last)
            };
            let all_scores = scores.as_mut_ptr();
            let score = |position: usize| _mm512_loadu_ps(all_scores.add(position * QUERIES + 16 * half));
            let mut highest = [lowest; 2];
            for position in 0..positions {
                let x = match all.contains(&(position as i32)) {
                    true => score(position),
                    false => _mm512_mask_mov_ps(lowest, sees(position), score(position)),
                };
                highest[position % 2] = _mm512_max_ps(highest[position % 2], x);
            }
            let factor = _mm512_set1_ps(factor);
            let shift = _mm512_mul_ps(_mm512_max_ps(highest[0], highest[1]), factor);
            let mut sums = [_mm512_setzero_ps(); 2];
            for pair in 0..positions / 2 {
                let weight = |position: usize| {
                    let y = exp2(_mm512_fmsub_ps(score(position), factor, shift));
                    match all.contains(&(position as i32)) {
                        true => y,
                        false => _mm512_maskz_mov_ps(sees(position), y),
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

/// Divides the columns of `sums`, `[row][32]`.
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

/// Packs 16 rows of `width` numbers, which are bfloat16 already, as pairs `[width / 2][32]`; rows that are not there are zero.
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
            // SAFETY: 32 numbers.
            *pairs = unsafe {
                let low = _mm512_loadu_si512(numbers.as_ptr().cast());
                let high = _mm512_loadu_si512(numbers.as_ptr().add(16).cast());
                let low = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(low));
                let high = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(high));
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            };
        }
        for (pair, queries) in transposed(queries).into_iter().enumerate() {
            // SAFETY: 16 of the columns that were just checked for.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().add((d / 2 + pair) * QUERIES).cast(), queries) };
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
    queries: usize,
    to: impl Fn(usize) -> &'a mut [u16],
) {
    assert!(sums.len() >= (width - 1) * QUERIES + 16, "16 columns of sums");
    for d in (0..width).step_by(16) {
        let mut rows = [_mm512_setzero_si512(); 16];
        for (i, row) in rows.iter_mut().enumerate() {
            // SAFETY: 16 of the columns that were just checked for.
            *row = unsafe { _mm512_loadu_si512(sums.as_ptr().add((d + i) * QUERIES).cast()) };
        }
        for (query, numbers) in transposed(rows).into_iter().enumerate().take(queries) {
            let to = &mut to(query)[d..d + 16];
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

/// Copies some columns of rows of 32.
///
/// # Safety
/// The processor has AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn copy_columns(from: &[f32], to: &mut [f32], columns: &Range<usize>) {
    let chosen = columns.clone().fold(0u32, |chosen, column| chosen | 1 << column);
    let halves = [chosen as u16, (chosen >> 16) as u16];
    for (from, to) in from.as_chunks::<QUERIES>().0.iter().zip(to.as_chunks_mut::<QUERIES>().0) {
        for (half, chosen) in halves.into_iter().enumerate().filter(|(_, chosen)| *chosen > 0) {
            // SAFETY: half of 32 numbers, from either half on.
            unsafe {
                let numbers = _mm512_loadu_ps(from.as_ptr().add(16 * half));
                _mm512_mask_storeu_ps(to.as_mut_ptr().add(16 * half), chosen, numbers);
            }
        }
    }
}

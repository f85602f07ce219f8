//! Single-precision numbers as sums of three bfloat16 numbers, for tiles, which multiply nothing else.
//!
//! `x = h + m + l`: `h` is `x` rounded to its 8 upper bits, `m` the remainder, rounded likewise, and `l` the
//! rest, which has at most 8 bits. The sum is exact for numbers from 2^-110 on; below, `l` and then `m` are
//! numbers that tiles treat as zero. Of the nine products of two such sums six are computed. The omitted
//! ones, `m l`, `l m` and `l l`, are at most 2^-24 of the whole, as much as single precision's own rounding
//! (the scheme of G. Henry, P. Tang, A. Heinecke, <https://arxiv.org/abs/1904.06376>).

use crate::kernels::isa::Vector;
use crate::kernels::layout::{NR, TILE_K};

/// Parts of a number.
pub const PARTS: usize = 3;
/// 32-bit words of a block of 32 terms of a panel, in all parts.
pub const BLOCK_WORDS: usize = PARTS * BLOCK_PART;
/// Words of one part: 16 pairs of terms, 32 columns each.
const BLOCK_PART: usize = TILE_K / 2 * NR;
/// Prefetch distance in bytes while a panel is split.
#[cfg(target_arch = "x86_64")]
const DISTANCE: usize = 8 << 10;

/// Bits, without the sign, of the smallest magnitude whose first part is infinite.
pub const TOO_LARGE: u32 = 0x7f7f_8000;

/// The parts of a number, each in the upper half of its bits. The parts of a non-finite number add up to NaN.
#[inline(always)]
fn parts(x: f32) -> [u32; PARTS] {
    let upper = |x: f32| x.to_bits().wrapping_add(0x8000) & 0xffff_0000;
    let high = upper(x);
    let rest = x - f32::from_bits(high);
    let middle = upper(rest);
    let low = rest - f32::from_bits(middle);
    [high, middle, low.to_bits()]
}

/// The parts of a number as bits of bfloat16.
#[inline(always)]
pub fn split(x: f32) -> [u16; PARTS] {
    parts(x).map(|bits| (bits >> 16) as u16)
}

#[inline(always)]
fn split_block(block: &[f32; TILE_K * NR], to: &mut [u32; BLOCK_WORDS]) {
    let [high, middle, low] = to.as_chunks_mut::<BLOCK_PART>().0 else { unreachable!("three parts") };
    let to = high.as_chunks_mut::<NR>().0.iter_mut();
    let to = to.zip(middle.as_chunks_mut::<NR>().0).zip(low.as_chunks_mut::<NR>().0);
    for (pair, ((high, middle), low)) in block.as_chunks::<{ 2 * NR }>().0.iter().zip(to) {
        prefetch(pair);
        for column in 0..NR {
            let (even, odd) = (parts(pair[column]), parts(pair[NR + column]));
            let together = |part: usize| even[part] >> 16 | odd[part] & 0xffff_0000;
            (high[column], middle[column], low[column]) = (together(0), together(1), together(2));
        }
    }
}

/// As [`split_block`], by hand: compilers don't find the blend.
///
/// # Safety
/// The processor has AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn split_block_avx512(block: &[f32; TILE_K * NR], to: &mut [u32; BLOCK_WORDS]) {
    use std::arch::x86_64::*;

    const HALF: usize = NR / 2;
    const ODD: u32 = 0xaaaa_aaaa;
    let half = _mm512_set1_epi32(0x8000);
    let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    for (number, pair) in block.as_chunks::<{ 2 * NR }>().0.iter().enumerate() {
        prefetch(pair);
        for column in [0, HALF] {
            // SAFETY: 16 of the 64 numbers of a pair of rows, and 16 of the 512 words of each part.
            unsafe {
                let load = |at: usize| _mm512_loadu_ps(pair.as_ptr().add(at + column));
                let mut rests = [load(0), load(NR)];
                for part in 0..PARTS {
                    // Written out, not by `array::map`: see `load_pairs` in simd.rs.
                    let mut bits = [_mm512_castps_si512(rests[0]), _mm512_castps_si512(rests[1])];
                    if part + 1 < PARTS {
                        for (bits, rest) in bits.iter_mut().zip(&mut rests) {
                            *bits = _mm512_add_epi32(*bits, half);
                            *rest = _mm512_sub_ps(*rest, _mm512_castsi512_ps(_mm512_and_si512(*bits, mask)));
                        }
                    }
                    let both = _mm512_mask_blend_epi16(ODD, _mm512_srli_epi32::<16>(bits[0]), bits[1]);
                    let at = part * BLOCK_PART + number * NR + column;
                    _mm512_storeu_si512(to.as_mut_ptr().add(at).cast(), both);
                }
            }
        }
    }
}

/// Splits a panel block by block.
#[inline(always)]
fn split_blocks(panel: &[f32], to: &mut [u32], split: impl Fn(&[f32; TILE_K * NR], &mut [u32; BLOCK_WORDS])) {
    panel.as_chunks().0.iter().zip(to.as_chunks_mut().0).for_each(|(block, to)| split(block, to));
}

/// Prefetches the data `DISTANCE` bytes behind these numbers, which would otherwise arrive late from memory.
#[inline(always)]
fn prefetch(numbers: &[f32; 2 * NR]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.as_chunks::<16>().0 {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint, valid for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast::<i8>().wrapping_add(DISTANCE)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

#[inline(always)]
fn row_plainly(numbers: &[f32], to: &mut [u16]) {
    let blocks = to.as_chunks_mut::<{ PARTS * TILE_K }>().0;
    for (numbers, to) in numbers.as_chunks::<TILE_K>().0.iter().zip(blocks) {
        for (i, x) in numbers.iter().enumerate() {
            for (part, number) in split(*x).into_iter().enumerate() {
                to[part * TILE_K + i] = number;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn panel_avx512(numbers: &[f32], to: &mut [u32]) {
    // SAFETY: as for this function.
    split_blocks(numbers, to, |block, to| unsafe { split_block_avx512(block, to) });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn row_avx512(numbers: &[f32], to: &mut [u16]) {
    use std::arch::x86_64::*;

    let mut uppers = [0i16; TILE_K];
    uppers.iter_mut().zip(0..).for_each(|(at, i)| *at = 2 * i + 1);
    let half = _mm512_set1_epi32(0x8000);
    let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    let blocks = to.as_chunks_mut::<{ PARTS * TILE_K }>().0;
    for (numbers, to) in numbers.as_chunks::<TILE_K>().0.iter().zip(blocks) {
        // SAFETY: `numbers` has 32 elements, `to` three times 32 parts, and `uppers` 64 bytes.
        unsafe {
            let uppers = _mm512_loadu_si512(uppers.as_ptr().cast());
            let mut rests = [_mm512_loadu_ps(numbers.as_ptr()), _mm512_loadu_ps(numbers.as_ptr().add(16))];
            for part in 0..PARTS {
                let mut bits = [_mm512_castps_si512(rests[0]), _mm512_castps_si512(rests[1])];
                if part + 1 < PARTS {
                    for (bits, rest) in bits.iter_mut().zip(&mut rests) {
                        *bits = _mm512_and_si512(_mm512_add_epi32(*bits, half), mask);
                        *rest = _mm512_sub_ps(*rest, _mm512_castsi512_ps(*bits));
                    }
                }
                let both = _mm512_permutex2var_epi16(bits[0], uppers, bits[1]);
                _mm512_storeu_si512(to.as_mut_ptr().add(part * TILE_K).cast(), both);
            }
        }
    }
}

/// Splits blocks of 32 terms of a panel, `[blocks][32 terms][32 columns]`, into
/// `[blocks][3 parts][16 pairs][32 columns]`, where a word holds a pair of terms of a column.
pub fn split_panel(vector: Vector, numbers: &[f32], to: &mut [u32]) {
    match vector {
        // SAFETY: this width is chosen only where the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 => unsafe { panel_avx512(numbers, to) },
        _ => split_blocks(numbers, to, split_block),
    }
}

/// Splits whole blocks of a row into `[blocks][3 parts][32]`.
pub fn split_row(vector: Vector, numbers: &[f32], to: &mut [u16]) {
    match vector {
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 => unsafe { row_avx512(numbers, to) },
        _ => row_plainly(numbers, to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;

    /// Numbers of all magnitudes from 2^-100 on, and of both signs.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 9u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        (0..count)
            .map(|_| {
                let exponent = 27 + next() % 220;
                f32::from_bits(next() & 0x8000_0000 | exponent << 23 | next() & 0x7f_ffff)
            })
            .collect()
    }

    #[test]
    fn parts_add_up_to_the_number_exactly() {
        for x in numbers(100_000).into_iter().chain([0.0, 1.0, -1.5, f32::from_bits(0x3fff_ffff)]) {
            let [high, middle, low] = parts(x);
            assert_eq!(low & 0xffff, 0, "{x:e} has no fourth part");
            let sum = [high, middle, low].map(|part| f64::from(f32::from_bits(part))).iter().sum::<f64>();
            assert_eq!(sum, f64::from(x));
            assert!(f32::from_bits(middle).abs() <= x.abs() / 256.0);
            assert!(f32::from_bits(low).abs() <= x.abs() / 65_536.0);
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for x in
            [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7fff_ffff), f32::MAX]
        {
            let sum: f32 = parts(x).map(f32::from_bits).iter().sum();
            assert!(sum.is_nan(), "{x}");
        }
    }

    #[test]
    fn what_is_as_good_as_infinite_is_so_from_a_number_on() {
        let sum = |bits: u32| {
            parts(f32::from_bits(bits)).map(|part| f64::from(f32::from_bits(part))).iter().sum::<f64>()
        };
        for sign in [0, 1 << 31] {
            let largest = sign | (TOO_LARGE - 1);
            assert_eq!(sum(largest), f64::from(f32::from_bits(largest)));
            assert!(!sum(sign | TOO_LARGE).is_finite());
        }
    }

    #[test]
    fn numbers_of_every_kind_are_split_alike_by_all_vectors() {
        let kinds = [
            0.0,
            -0.0,
            f32::from_bits(1),
            -1e-40,
            f32::MIN_POSITIVE,
            1.0,
            -3e38,
            f32::MAX,
            f32::INFINITY,
            f32::NAN,
        ];
        let panel: Vec<f32> = (0..TILE_K * NR).map(|i| kinds[(i + i / NR) % kinds.len()]).collect();
        let all: Vec<_> = Isa::vectors()
            .into_iter()
            .map(|vector| {
                let (mut words, mut row) = (vec![0; BLOCK_WORDS], vec![0; PARTS * panel.len()]);
                split_panel(vector, &panel, &mut words);
                split_row(vector, &panel, &mut row);
                (words, row)
            })
            .collect();
        assert!(all.iter().all(|split| *split == all[all.len() - 1]));
    }

    #[test]
    fn parts_lie_where_tiles_look_for_them() {
        let panel = numbers(2 * TILE_K * NR);
        let row = numbers(3 * TILE_K);
        for vector in Isa::vectors() {
            let mut words = vec![0; 2 * BLOCK_WORDS];
            split_panel(vector, &panel, &mut words);
            for (k, terms) in panel.chunks(NR).enumerate() {
                for (column, x) in terms.iter().enumerate() {
                    for (part, bits) in parts(*x).into_iter().enumerate() {
                        let pair = k / TILE_K * BLOCK_WORDS + part * BLOCK_PART + k % TILE_K / 2 * NR;
                        assert_eq!(words[pair + column] >> (16 * (k % 2)) & 0xffff, bits >> 16);
                    }
                }
            }
            let mut to = vec![0; PARTS * row.len()];
            split_row(vector, &row, &mut to);
            for (i, x) in row.iter().enumerate() {
                let at = i / TILE_K * PARTS * TILE_K + i % TILE_K;
                assert_eq!([0, 1, 2].map(|part| to[at + part * TILE_K]), split(*x));
            }
        }
    }
}

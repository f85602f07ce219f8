//! Transposition of four-byte words, which packs stored rows into panels.
//!
//! Vectorised by hand: compilers turn the plain loop into scalar loads and stores, which is slower than
//! reading a file from the page cache.

use super::isa::Vector;
use super::layout::NR;

/// Bytes of a word.
const WORD: usize = 4;
/// Words of a row that are transposed together: one cache line.
const LINE: usize = 16;

/// A row of a piece is whole lines if it has a multiple of this many bytes.
pub const LINE_BYTES: usize = LINE * WORD;

/// `to[column * 32 + row] = from[row * columns + column]`, in words, for 32 rows of whole lines.
pub fn transpose(vector: Vector, from: &[u8], to: &mut [u8]) {
    assert!(from.len() == to.len() && from.len().is_multiple_of(NR * LINE_BYTES), "32 rows of whole lines");
    match vector {
        // SAFETY: the processor has the instructions; both sides are 32 rows of the same number of whole
        // lines.
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 => unsafe { avx512(from.as_ptr(), to.as_mut_ptr(), from.len() / NR) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vector::Avx2 => unsafe { avx2(from.as_ptr(), to.as_mut_ptr(), from.len() / NR) },
        Vector::Portable => portable(from, to),
    }
}

/// [`transpose`] for `f32`: `[32][columns]` to `[columns][32]`.
pub fn transpose_numbers(vector: Vector, from: &[f32], to: &mut [f32]) {
    // SAFETY: any bytes are valid in both types.
    let ((_, from, _), (_, to, _)) = unsafe { (from.align_to(), to.align_to_mut()) };
    transpose(vector, from, to);
}

fn portable(from: &[u8], to: &mut [u8]) {
    let (from, to) = (from.as_chunks::<WORD>().0, to.as_chunks_mut::<WORD>().0);
    let columns = from.len() / NR;
    for (column, to) in to.chunks_mut(NR).enumerate() {
        for (row, to) in to.iter_mut().enumerate() {
            *to = from[row * columns + column];
        }
    }
}

/// Blocks of 16 rows and 16 columns: words, then pairs of words, are interleaved within each quarter of a
/// line; then the quarters are permuted.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(from: *const u8, to: *mut u8, stride: usize) {
    use std::arch::x86_64::*;
    for at in (0..stride).step_by(LINE_BYTES) {
        for half in 0..2 {
            // SAFETY: the caller guarantees 32 rows of `stride` bytes on both sides.
            unsafe {
                let from = from.add(half * LINE * stride + at);
                let to = to.add(at * NR + half * LINE_BYTES);
                // `quads[group][c]`: the words `c`, `c + 4`, `c + 8` and `c + 12` of four rows.
                let mut quads = [[_mm512_setzero_si512(); 4]; 4];
                for (group, quads) in quads.iter_mut().enumerate() {
                    let row = |row: usize| _mm512_loadu_si512(from.add((4 * group + row) * stride).cast());
                    let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                    let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
                    let (low2, high2) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
                    *quads = [
                        _mm512_unpacklo_epi64(low, low2),
                        _mm512_unpackhi_epi64(low, low2),
                        _mm512_unpacklo_epi64(high, high2),
                        _mm512_unpackhi_epi64(high, high2),
                    ];
                }
                for c in [0, 1, 2, 3] {
                    let [a, b, c2, d] = [quads[0][c], quads[1][c], quads[2][c], quads[3][c]];
                    let even = _mm512_shuffle_i32x4::<0x88>(a, b);
                    let odd = _mm512_shuffle_i32x4::<0xdd>(a, b);
                    let even2 = _mm512_shuffle_i32x4::<0x88>(c2, d);
                    let odd2 = _mm512_shuffle_i32x4::<0xdd>(c2, d);
                    let lines = [
                        _mm512_shuffle_i32x4::<0x88>(even, even2),
                        _mm512_shuffle_i32x4::<0x88>(odd, odd2),
                        _mm512_shuffle_i32x4::<0xdd>(even, even2),
                        _mm512_shuffle_i32x4::<0xdd>(odd, odd2),
                    ];
                    for (quarter, line) in lines.into_iter().enumerate() {
                        _mm512_storeu_si512(to.add((4 * quarter + c) * NR * WORD).cast(), line);
                    }
                }
            }
        }
    }
}

/// As [`avx512`], in blocks of 8 rows and 8 columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2(from: *const u8, to: *mut u8, stride: usize) {
    use std::arch::x86_64::*;
    for at in (0..stride).step_by(LINE_BYTES / 2) {
        for eighth in 0..NR / 8 {
            // SAFETY: the caller guarantees 32 rows of `stride` bytes on both sides.
            unsafe {
                let from = from.add(eighth * 8 * stride + at);
                let to = to.add(at * NR + eighth * 8 * WORD);
                // `quads[group][c]`: the words `c` and `c + 4` of four rows.
                let mut quads = [[_mm256_setzero_si256(); 4]; 2];
                for (group, quads) in quads.iter_mut().enumerate() {
                    let row = |row: usize| _mm256_loadu_si256(from.add((4 * group + row) * stride).cast());
                    let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                    let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
                    let (low2, high2) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
                    *quads = [
                        _mm256_unpacklo_epi64(low, low2),
                        _mm256_unpackhi_epi64(low, low2),
                        _mm256_unpacklo_epi64(high, high2),
                        _mm256_unpackhi_epi64(high, high2),
                    ];
                }
                for c in [0, 1, 2, 3] {
                    let (a, b) = (quads[0][c], quads[1][c]);
                    let halves =
                        [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)];
                    for (half, words) in halves.into_iter().enumerate() {
                        _mm256_storeu_si256(to.add((4 * half + c) * NR * WORD).cast(), words);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;

    #[test]
    fn every_width_of_vectors_transposes_as_plain_loops_do() {
        for lines in [1, 3, 36] {
            let from: Vec<u8> =
                (0..NR * lines * LINE_BYTES).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect();
            let columns = lines * LINE;
            for vector in Isa::vectors() {
                let mut to = vec![0; from.len()];
                transpose(vector, &from, &mut to);
                for row in 0..NR {
                    for column in 0..columns {
                        let word = |bytes: &[u8], at: usize| bytes[at * WORD..][..WORD].to_vec();
                        assert_eq!(
                            word(&to, column * NR + row),
                            word(&from, row * columns + column),
                            "{vector:?}, row {row}, column {column} of {columns}"
                        );
                    }
                }
            }
        }
    }
}

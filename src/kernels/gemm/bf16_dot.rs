//! The GEMM kernel with `vdpbf16ps`, which adds the product of a pair's odd terms, then that of its even
//! terms, each with one rounding: element by element the sums of the widened kernels.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::args::GemmArgs;
use super::kernel::GemmKernel;
use crate::kernels::layout::{LANES, NR, TILE_K, even_steps};

/// bfloat16 rows with panels of pairs, `[k / 2][NR][2]`.
pub struct Bf16Dot;

type MicroTile = unsafe fn(&mut GemmArgs<'_, u16>, usize);

impl GemmKernel for Bf16Dot {
    type A = u16;
    // 28 sums, the two vectors of a row of b, and a from memory: 30 of 32 registers.
    const MR: usize = 14;
    /// 24 KiB of a panel stay in the first-level cache, besides the rows of A.
    const KC: usize = (24 << 10) / (2 * NR) / TILE_K * TILE_K;
    const TWO_PANELS_MR: usize = 4;

    fn multiply(args: &mut GemmArgs<'_, u16>) {
        const OF_TWO: [MicroTile; Bf16Dot::TWO_PANELS_MR] =
            [micro_tile::<1, 4>, micro_tile::<2, 4>, micro_tile::<3, 4>, micro_tile::<4, 4>];
        const TILES: [MicroTile; Bf16Dot::MR] = [
            micro_tile::<1, 2>,
            micro_tile::<2, 2>,
            micro_tile::<3, 2>,
            micro_tile::<4, 2>,
            micro_tile::<5, 2>,
            micro_tile::<6, 2>,
            micro_tile::<7, 2>,
            micro_tile::<8, 2>,
            micro_tile::<9, 2>,
            micro_tile::<10, 2>,
            micro_tile::<11, 2>,
            micro_tile::<12, 2>,
            micro_tile::<13, 2>,
            micro_tile::<14, 2>,
        ];
        args.assert_extents(args.m, args.k, args.k / 2, LANES * size_of::<u32>());
        if args.second.is_some() {
            // SAFETY: rows and panels were just checked; the kernel is chosen where the processor has avx512bf16.
            return unsafe { OF_TWO[args.m - 1](args, 0) };
        }
        // Loop 1 of BLIS.
        for rows in even_steps(args.m, TILES.len()) {
            // SAFETY: as above.
            unsafe { TILES[rows.len() - 1](args, rows.start) };
        }
    }
}

/// Computes `ROWS` rows of C from `row` on, in `TILE_VECTORS` vectors of columns.
///
/// # Safety
/// The rows and the panels lie within the operands; the processor has avx512bf16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn micro_tile<const ROWS: usize, const TILE_VECTORS: usize>(args: &mut GemmArgs<'_, u16>, row: usize) {
    let b_of: [usize; TILE_VECTORS] = std::array::from_fn(|v| args.b_offset(v));
    let c_of: [usize; TILE_VECTORS] = std::array::from_fn(|v| args.c_offset(v));
    let (lda, ldc, b_row) = (args.lda, args.ldc, args.b.row);
    let mut sums = [[_mm512_setzero_ps(); TILE_VECTORS]; ROWS];
    // SAFETY: the caller guarantees all rows; vectors of 16 pairs and of 32 bfloat16 numbers are the same
    // bits.
    unsafe {
        let a = args.a.as_ptr().add(row * lda);
        let c = args.c.as_mut_ptr().add(row * ldc);
        let mut b = args.b.bytes.as_ptr();
        if args.accumulate {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (sum, at) in sums.iter_mut().zip(c_of) {
                    *sum = _mm512_loadu_ps(c.add(row * ldc + at));
                }
            }
        }
        for pair in 0..args.k / 2 {
            // By index: iterators over arrays are calls where they are not inlined, as in the test profile, with the vectors in memory.
            let mut pairs = [_mm512_setzero_si512(); TILE_VECTORS];
            let mut v = 0;
            while v < TILE_VECTORS {
                pairs[v] = _mm512_loadu_si512(b.add(b_of[v]).cast());
                v += 1;
            }
            let mut row = 0;
            while row < ROWS {
                let a = a.add(row * lda + 2 * pair).cast::<i32>().read_unaligned();
                let a: __m512bh = transmute(_mm512_set1_epi32(a));
                let mut v = 0;
                while v < TILE_VECTORS {
                    sums[row][v] =
                        _mm512_dpbf16_ps(sums[row][v], a, transmute::<__m512i, __m512bh>(pairs[v]));
                    v += 1;
                }
                row += 1;
            }
            b = b.wrapping_add(b_row);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (sum, at) in sums.iter().zip(c_of) {
                _mm512_storeu_ps(c.add(row * ldc + at), *sum);
            }
        }
    }
}

/// Rounds an even count of numbers to bfloat16 and packs them into the first half of their memory.
pub fn narrow(numbers: &mut [f32]) {
    // SAFETY: chosen where the processor has avx512bf16.
    unsafe { narrow_avx512(numbers) };
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn narrow_avx512(numbers: &mut [f32]) {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    let whole = numbers.len() / LANES * LANES;
    let start = numbers.as_mut_ptr();
    for at in (0..whole).step_by(LANES) {
        // SAFETY: 16 numbers from `at` on are read; what is written lies before any number still to be read.
        unsafe {
            let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(start.add(at)));
            _mm256_storeu_si256(start.add(at / 2).cast(), transmute::<__m256bh, __m256i>(rounded));
        }
    }
    for at in (whole..numbers.len() / 2 * 2).step_by(2) {
        let [low, high] = [at, at + 1].map(|at| u32::from(half::bf16::from_f32(numbers[at]).to_bits()));
        numbers[at / 2] = f32::from_bits(low | high << 16);
    }
}

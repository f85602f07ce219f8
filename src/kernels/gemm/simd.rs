//! GEMM kernels with fused multiply-add in single precision, one set for each vector width.
//!
//! An element of C is `fma(a[p], b[p], sum)` over rising `p`; with `Bf16Pairs`, over rising pairs, the odd term
//! of a pair first. The order is the same in every kernel and for any number of rows, so an element's bits
//! depend on its own row and column alone.

use super::args::GemmArgs;
use super::kernel::Microkernel;
use crate::kernels::isa::Vector;
use crate::kernels::layout::{NR, TILE_K};

/// Layout of a packed panel of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelFormat {
    /// Single precision, `[k][NR]`.
    F32,
    /// Half precision, `[k][NR]`.
    F16,
    /// bfloat16, `[k / 2][NR][2]`: two terms of a column together. The odd one is added first, as `vdpbf16ps` does.
    Bf16Pairs,
}

/// [`PanelFormat`] as a constant parameter.
const F32: u8 = 0;
const F16: u8 = 1;
const PAIRS: u8 = 2;

/// Bytes of a panel that stay in the first-level cache, besides the rows of A.
const B_BYTES: usize = 24 << 10;

const fn kc(format: u8) -> usize {
    B_BYTES / (NR * if format == F32 { 4 } else { 2 }) / TILE_K * TILE_K
}

/// The kernel for panels of a format.
pub fn kernel(vector: Vector, format: PanelFormat) -> Microkernel<f32> {
    macro_rules! of {
        ($isa:ident) => {
            match format {
                PanelFormat::F32 => Microkernel::of::<$isa::Fma<F32>>(),
                PanelFormat::F16 => Microkernel::of::<$isa::Fma<F16>>(),
                PanelFormat::Bf16Pairs => Microkernel::of::<$isa::Fma<PAIRS>>(),
            }
        };
    }
    match vector {
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 => of!(avx512),
        #[cfg(target_arch = "x86_64")]
        Vector::Avx2 => of!(avx2),
        Vector::Portable => of!(portable),
    }
}

/// Computes a block of C whose sums fit in registers, from a row and a vector of 16 columns on.
type MicroTile = unsafe fn(&mut GemmArgs<'_, f32>, usize, usize);

/// Defines `Fma`, the kernel of an instruction set, in terms of its `zero`, `splat`, `fma`, `load_f32`,
/// `load_f16`, `load_pairs` and `store`: for each number of rows up to `MR` with `vectors` vectors and, where
/// registers suffice, for a few rows of two panels.
macro_rules! fma_kernel {
    (mr: $mr:literal, vectors: $vectors:literal, rows: [$($rows:literal)*],
     two_panels_mr: $two_mr:literal, rows_of_two: [$($of_two:literal)*], $(#[$feature:meta])*) => {
        pub struct Fma<const FORMAT: u8>;

        impl<const FORMAT: u8> GemmKernel for Fma<FORMAT> {
            type A = f32;
            const MR: usize = $mr;
            const NR: usize = $vectors * LANES;
            const KC: usize = kc(FORMAT);
            const TWO_PANELS_MR: usize = $two_mr;

            fn multiply(args: &mut GemmArgs<'_, f32>) {
                let tiles: &[MicroTile] = &[$(micro_tile::<FORMAT, $rows, $vectors>),*];
                let of_two: &[MicroTile] = &[$(micro_tile::<FORMAT, $of_two, { 2 * VECTORS }>),*];
                let terms_of_row = if FORMAT == PAIRS { 2 } else { 1 };
                let half = LANES * if FORMAT == F16 { 2 } else { 4 };
                args.assert_extents(args.m, args.k, args.k / terms_of_row, half);
                if args.second.is_some() {
                    // SAFETY: rows and panels were just checked; the kernel is chosen where the processor has its instructions.
                    return unsafe { of_two[args.m - 1](args, 0, 0) };
                }
                // Loop 2 of BLIS, within a panel.
                for vector in (0..VECTORS).step_by(Self::NR / LANES) {
                    // Loop 1.
                    for rows in even_steps(args.m, tiles.len()) {
                        // SAFETY: as above.
                        unsafe { tiles[rows.len() - 1](args, rows.start, vector) };
                    }
                }
            }
        }

        /// Computes `ROWS` rows of C from `row` on, in `TILE_VECTORS` vectors of columns from `vector` on.
        ///
        /// # Safety
        /// The rows and the panels lie within the operands; the processor has the instructions.
        $(#[$feature])*
        unsafe fn micro_tile<const FORMAT: u8, const ROWS: usize, const TILE_VECTORS: usize>(
            args: &mut GemmArgs<'_, f32>,
            row: usize,
            vector: usize,
        ) {
            let b_of: [usize; TILE_VECTORS] = std::array::from_fn(|v| args.b_offset(vector + v));
            let c_of: [usize; TILE_VECTORS] = std::array::from_fn(|v| args.c_offset(vector + v));
            let (lda, ldc, b_row) = (args.lda, args.ldc, args.b.row);
            let mut sums = [[zero(); TILE_VECTORS]; ROWS];
            // SAFETY: the caller guarantees all rows and columns.
            unsafe {
                let a = args.a.as_ptr().add(row * lda);
                let c = args.c.as_mut_ptr().add(row * ldc);
                let mut b = args.b.bytes.as_ptr();
                if args.accumulate {
                    for row in 0..ROWS {
                        for v in 0..TILE_VECTORS {
                            sums[row][v] = load_f32(c.add(row * ldc + c_of[v]).cast());
                        }
                    }
                }
                let steps = if FORMAT == PAIRS { args.k / 2 } else { args.k };
                for p in 0..steps {
                    if FORMAT == PAIRS {
                        let mut pairs = [(zero(), zero()); TILE_VECTORS];
                        for v in 0..TILE_VECTORS {
                            pairs[v] = load_pairs(b.add(b_of[v]));
                        }
                        for row in 0..ROWS {
                            let a = a.add(row * lda + 2 * p);
                            for v in 0..TILE_VECTORS {
                                sums[row][v] = fma(splat(*a.add(1)), pairs[v].1, sums[row][v]);
                                sums[row][v] = fma(splat(*a), pairs[v].0, sums[row][v]);
                            }
                        }
                    } else {
                        let mut columns = [zero(); TILE_VECTORS];
                        for v in 0..TILE_VECTORS {
                            let at = b.add(b_of[v]);
                            columns[v] = if FORMAT == F16 { load_f16(at) } else { load_f32(at) };
                        }
                        for row in 0..ROWS {
                            let a = splat(*a.add(row * lda + p));
                            for v in 0..TILE_VECTORS {
                                sums[row][v] = fma(a, columns[v], sums[row][v]);
                            }
                        }
                    }
                    b = b.wrapping_add(b_row);
                }
                for row in 0..ROWS {
                    for v in 0..TILE_VECTORS {
                        store(c.add(row * ldc + c_of[v]), sums[row][v]);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use crate::kernels::gemm::args::{GemmArgs, VECTORS};
    use crate::kernels::gemm::kernel::GemmKernel;
    use crate::kernels::gemm::simd::{F16, MicroTile, PAIRS, kc};
    use crate::kernels::layout::{LANES, even_steps};

    // 28 sums and two vectors of b, with a from memory: 30 of 32 registers.
    fma_kernel!(
        mr: 14, vectors: 2, rows: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], two_panels_mr: 4, rows_of_two: [1 2 3 4],
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    );

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> __m512 {
        _mm512_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn splat(x: f32) -> __m512 {
        _mm512_set1_ps(x)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_f32(at: *const u8) -> __m512 {
        // SAFETY: the caller guarantees 64 bytes.
        unsafe { _mm512_loadu_ps(at.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_f16(at: *const u8) -> __m512 {
        // SAFETY: the caller guarantees 32 bytes.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_pairs(at: *const u8) -> (__m512, __m512) {
        // SAFETY: the caller guarantees 64 bytes.
        let bits = unsafe { _mm512_loadu_si512(at.cast()) };
        let odd = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
        (_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)), _mm512_castsi512_ps(odd))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store(at: *mut f32, x: __m512) {
        // SAFETY: the caller guarantees 64 bytes.
        unsafe { _mm512_storeu_ps(at, x) }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use crate::kernels::gemm::args::{GemmArgs, VECTORS};
    use crate::kernels::gemm::kernel::GemmKernel;
    use crate::kernels::gemm::simd::{F16, MicroTile, PAIRS, kc};
    use crate::kernels::layout::{LANES, even_steps};

    // A vector of 16 columns is two registers: 12 sums of 16.
    fma_kernel!(
        mr: 6, vectors: 1, rows: [1 2 3 4 5 6], two_panels_mr: 0, rows_of_two: [],
        #[target_feature(enable = "avx2,fma,f16c")]
    );

    type Pair = [__m256; 2];

    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> Pair {
        [_mm256_setzero_ps(); 2]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn splat(x: f32) -> Pair {
        [_mm256_set1_ps(x); 2]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn fma(a: Pair, b: Pair, c: Pair) -> Pair {
        [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_f32(at: *const u8) -> Pair {
        // SAFETY: the caller guarantees 64 bytes.
        unsafe { [_mm256_loadu_ps(at.cast()), _mm256_loadu_ps(at.add(32).cast())] }
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load_f16(at: *const u8) -> Pair {
        // SAFETY: the caller guarantees 32 bytes.
        let (low, high) = unsafe { (_mm_loadu_si128(at.cast()), _mm_loadu_si128(at.add(16).cast())) };
        [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_pairs(at: *const u8) -> (Pair, Pair) {
        // SAFETY: the caller guarantees 64 bytes.
        let (low, high) = unsafe { (_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())) };
        // Not by `array::map`: where that is not inlined, as in the test profile, it is called, with its vectors in memory.
        let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
        let [even_low, even_high] = [_mm256_slli_epi32::<16>(low), _mm256_slli_epi32::<16>(high)];
        let [odd_low, odd_high] = [_mm256_and_si256(low, mask), _mm256_and_si256(high, mask)];
        (
            [_mm256_castsi256_ps(even_low), _mm256_castsi256_ps(even_high)],
            [_mm256_castsi256_ps(odd_low), _mm256_castsi256_ps(odd_high)],
        )
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(at: *mut f32, x: Pair) {
        // SAFETY: the caller guarantees 64 bytes.
        unsafe {
            _mm256_storeu_ps(at, x[0]);
            _mm256_storeu_ps(at.add(8), x[1]);
        }
    }
}

mod portable {
    use half::f16;

    use crate::kernels::gemm::args::{GemmArgs, VECTORS};
    use crate::kernels::gemm::kernel::GemmKernel;
    use crate::kernels::gemm::simd::{F16, MicroTile, PAIRS, kc};
    use crate::kernels::layout::{LANES, even_steps};

    fma_kernel!(mr: 4, vectors: 1, rows: [1 2 3 4], two_panels_mr: 0, rows_of_two: [],);

    type Numbers = [f32; LANES];

    #[inline]
    fn zero() -> Numbers {
        [0.0; LANES]
    }

    #[inline]
    fn splat(x: f32) -> Numbers {
        [x; LANES]
    }

    #[inline]
    fn fma(a: Numbers, b: Numbers, c: Numbers) -> Numbers {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline]
    unsafe fn load_f32(at: *const u8) -> Numbers {
        // SAFETY: the caller guarantees 64 bytes.
        unsafe { at.cast::<Numbers>().read_unaligned() }
    }

    #[inline]
    unsafe fn load_f16(at: *const u8) -> Numbers {
        // SAFETY: the caller guarantees 32 bytes.
        unsafe { at.cast::<[u16; LANES]>().read_unaligned() }.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline]
    unsafe fn load_pairs(at: *const u8) -> (Numbers, Numbers) {
        // SAFETY: the caller guarantees 64 bytes.
        let bits = unsafe { at.cast::<[u32; LANES]>().read_unaligned() };
        (bits.map(|b| f32::from_bits(b << 16)), bits.map(|b| f32::from_bits(b & 0xffff_0000)))
    }

    #[inline]
    unsafe fn store(at: *mut f32, x: Numbers) {
        // SAFETY: the caller guarantees 64 bytes.
        unsafe { at.cast::<Numbers>().write_unaligned(x) }
    }
}

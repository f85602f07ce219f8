//! Products of bfloat16 matrices by `vdpbf16ps`, which adds the product of a pair's odd numbers, then that of its even
//! ones, each with one rounding: the sums of the widened kernels, number by number.

use super::vector::Second;
#[cfg(target_arch = "x86_64")]
use super::vector::{FEW_ROWS, UNIT, steps};

/// A product of pairs: `c[row][column] = sum of a[row][k] * b[k][column]` over a panel of 32 columns, or over two.
#[derive(Clone, Copy)]
pub struct PairProduct {
    /// bfloat16, `lda` numbers from row to row.
    pub a: *const u16,
    pub lda: usize,
    /// Pairs of `k`, 32 columns each, `b_row` pairs from one to the next.
    pub b: *const u32,
    pub b_row: usize,
    /// Pairs of terms.
    pub pairs: usize,
    /// `ldc` numbers from row to row.
    pub c: *mut f32,
    pub ldc: usize,
    /// Where the second panel is, if there is one.
    pub second: Option<Second>,
    /// Whether sums begin at zero, or go on from what `c` holds.
    pub first: bool,
}

/// Computes `rows` rows; of two panels at least one and at most [`FEW_ROWS`].
///
/// # Safety
/// The processor has avx512bf16; `product` describes memory of that size that may be read and, for `c`, written.
#[cfg(target_arch = "x86_64")]
pub unsafe fn multiply(product: PairProduct, rows: usize) {
    type Kernel = unsafe fn(&PairProduct);
    const OF_TWO: [Kernel; FEW_ROWS] = [kernel::<1, 4>, kernel::<2, 4>, kernel::<3, 4>, kernel::<4, 4>];
    // 28 sums, the two halves of a row of b, and a from memory: 30 of 32 registers.
    const KERNELS: [Kernel; 14] = [
        kernel::<1, 2>,
        kernel::<2, 2>,
        kernel::<3, 2>,
        kernel::<4, 2>,
        kernel::<5, 2>,
        kernel::<6, 2>,
        kernel::<7, 2>,
        kernel::<8, 2>,
        kernel::<9, 2>,
        kernel::<10, 2>,
        kernel::<11, 2>,
        kernel::<12, 2>,
        kernel::<13, 2>,
        kernel::<14, 2>,
    ];
    if product.second.is_some() {
        // SAFETY: as the caller vouches for.
        return unsafe { OF_TWO[rows - 1](&product) };
    }
    for step in steps(rows, KERNELS.len()) {
        // SAFETY: rows of a step are among those that the caller vouches for.
        unsafe {
            KERNELS[step.len() - 1](&PairProduct {
                a: product.a.add(step.start * product.lda),
                c: product.c.add(step.start * product.ldc),
                ..product
            });
        }
    }
}

/// # Safety
/// Not to be called: [`Isa`](super::isa::Isa) offers it on x86-64 only.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn multiply(_: PairProduct, _: usize) {
    unreachable!("no other processor is found to have it")
}

/// Brings numbers together in the first half of their places, rounded to bfloat16. They are even in number.
///
/// # Safety
/// The processor has avx512bf16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn narrow(numbers: &mut [f32]) {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    let whole = numbers.len() / UNIT * UNIT;
    let start = numbers.as_mut_ptr();
    for at in (0..whole).step_by(UNIT) {
        // SAFETY: 16 numbers from `at` on, and half their places, which are no numbers that are still to be read.
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

/// # Safety
/// Not to be called: [`Isa`](super::isa::Isa) offers it on x86-64 only.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn narrow(_: &mut [f32]) {
    unreachable!("no other processor is found to have it")
}

/// # Safety
/// As [`multiply`], for `ROWS` rows and `HALVES` of panels.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn kernel<const ROWS: usize, const HALVES: usize>(p: &PairProduct) {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    let second = p.second.unwrap_or_default();
    let mut sums = [[_mm512_setzero_ps(); HALVES]; ROWS];
    // SAFETY: the caller vouches for all rows; vectors of 16 pairs and of 32 bfloat16 numbers are the same bits.
    unsafe {
        if !p.first {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (half, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_loadu_ps(p.c.add(row * p.ldc + half % 2 * UNIT + half / 2 * second.c));
                }
            }
        }
        for pair in 0..p.pairs {
            let mut b = [_mm512_setzero_si512(); HALVES];
            for (half, b) in b.iter_mut().enumerate() {
                let at = pair * p.b_row + half % 2 * UNIT;
                *b = _mm512_loadu_si512(p.b.add(at).byte_add(half / 2 * second.b).cast());
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = p.a.add(row * p.lda + 2 * pair).cast::<i32>().read_unaligned();
                let a: __m512bh = transmute(_mm512_set1_epi32(a));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_dpbf16_ps(*sum, a, transmute::<__m512i, __m512bh>(b));
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (half, sum) in sums.iter().enumerate() {
                _mm512_storeu_ps(p.c.add(row * p.ldc + half % 2 * UNIT + half / 2 * second.c), *sum);
            }
        }
    }
}

//! Products of bfloat16 matrices by `vdpbf16ps`, which adds the product of a pair's odd numbers, then that of its even
//! ones, each with one rounding: the sums of the widened kernels, number by number.

/// A product of pairs: `c[row][column] = sum of a[row][k] * b[k][column]` over 32 columns.
#[derive(Clone, Copy)]
pub struct PairProduct {
    /// bfloat16, `lda` numbers from row to row.
    pub a: *const u16,
    pub lda: usize,
    /// A panel: pairs of `k`, 32 columns each.
    pub b: *const u32,
    /// Pairs of terms.
    pub pairs: usize,
    /// `ldc` numbers from row to row.
    pub c: *mut f32,
    pub ldc: usize,
    /// Whether sums begin at zero, or go on from what `c` holds.
    pub first: bool,
}

/// Computes `rows` rows.
///
/// # Safety
/// The processor has avx512bf16; `product` describes memory of that size that may be read and, for `c`, written.
#[cfg(target_arch = "x86_64")]
pub unsafe fn multiply(product: PairProduct, rows: usize) {
    type Kernel = unsafe fn(&PairProduct);
    const STEPS: [(usize, Kernel); 5] =
        [(14, kernel::<14>), (8, kernel::<8>), (4, kernel::<4>), (2, kernel::<2>), (1, kernel::<1>)];
    let mut row = 0;
    while row < rows {
        let step = STEPS.iter().find(|(step, _)| *step <= rows - row);
        let Some((step, kernel)) = step else { unreachable!("there is a kernel for one row") };
        // SAFETY: rows from `row` on are among those that the caller vouches for.
        unsafe {
            kernel(&PairProduct {
                a: product.a.add(row * product.lda),
                c: product.c.add(row * product.ldc),
                ..product
            });
        }
        row += step;
    }
}

/// # Safety
/// Not to be called: [`Isa`](super::isa::Isa) offers it on x86-64 only.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn multiply(_: PairProduct, _: usize) {
    unreachable!("no other processor is found to have it")
}

/// # Safety
/// As [`multiply`], for `ROWS` rows.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn kernel<const ROWS: usize>(p: &PairProduct) {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    const HALF: usize = 16;
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    // SAFETY: the caller vouches for all rows; vectors of 16 pairs and of 32 bfloat16 numbers are the same bits.
    unsafe {
        if !p.first {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = p.c.add(row * p.ldc);
                *sums = [_mm512_loadu_ps(c), _mm512_loadu_ps(c.add(HALF))];
            }
        }
        for pair in 0..p.pairs {
            let b = p.b.add(pair * 2 * HALF);
            let b = [_mm512_loadu_si512(b.cast()), _mm512_loadu_si512(b.add(HALF).cast())];
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = p.a.add(row * p.lda + 2 * pair).cast::<i32>().read_unaligned();
                let a: __m512bh = transmute(_mm512_set1_epi32(a));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_dpbf16_ps(*sum, a, transmute::<__m512i, __m512bh>(b));
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let c = p.c.add(row * p.ldc);
            _mm512_storeu_ps(c, sums[0]);
            _mm512_storeu_ps(c.add(HALF), sums[1]);
        }
    }
}

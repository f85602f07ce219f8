//! Kernels of products in single precision, one set for each width of vectors.
//!
//! A number of the result is `fma(a[k], b[k], sum)` over rising `k`, in every kernel and however many rows it takes: so
//! its bits depend on its own row and column alone.

use std::ops::Range;

use super::isa::Vector;
use super::matrix::PANEL;

/// Columns of a unit: what kernels take of `b` at a time.
pub const UNIT: usize = 16;
/// Units of a panel.
const OF_PANEL: usize = PANEL / UNIT;

/// How `b` is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// bfloat16, two numbers of a column together: those of `k` even and odd. The odd one is added first, as `vdpbf16ps` does.
    Bf16Pairs,
}

const F32: u8 = 0;
const F16: u8 = 1;
const PAIRS: u8 = 2;

/// Rows of which kernels take two panels at a time: with more sums side by side, each waits less for its last term, and weights
/// come from memory in two streams.
pub const FEW_ROWS: usize = 4;

/// Where the second panel of a product is: its weights in bytes from the first's, its sums in numbers.
#[derive(Clone, Copy, Default)]
pub struct Second {
    pub b: usize,
    pub c: usize,
}

/// A product to compute: `c[row][column] = sum of a[row][k] * b[k][column]`, for some rows and the two units of 16 columns of
/// a panel, or of two.
#[derive(Clone, Copy)]
pub struct Product {
    /// Single precision, `lda` numbers from row to row.
    pub a: *const f32,
    pub lda: usize,
    /// `b_row` bytes from `k` to `k` (of pairs: from pair to pair), `b_unit` from unit to unit.
    pub b: *const u8,
    pub b_row: usize,
    pub b_unit: usize,
    /// Terms of a sum; of pairs: pairs.
    pub k: usize,
    /// `ldc` numbers from row to row.
    pub c: *mut f32,
    pub ldc: usize,
    /// Where the second panel is, if there is one.
    pub second: Option<Second>,
    /// Whether sums begin at zero, or go on from what `c` holds.
    pub first: bool,
}

type Kernel = unsafe fn(&Product);

/// Rows from 0 to `rows` in even steps of at most `most`: what is left over would make a step that costs as much as a full one.
pub fn steps(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(most);
    (0..count).map(move |step| rows * step / count..rows * (step + 1) / count)
}

/// Kernels for one row, for two, and so on.
struct Kernels {
    rows: &'static [Kernel],
    /// Units that each takes.
    units: usize,
    /// For two panels and at most [`FEW_ROWS`], where there are registers enough.
    of_two: &'static [Kernel],
}

/// Whether there are kernels for two panels: for that, registers must be enough.
pub fn takes_two(vector: Vector) -> bool {
    !kernels(vector, Format::F32).of_two.is_empty()
}

/// Computes a product of `rows` rows; of two panels at least one and at most [`FEW_ROWS`], where [`takes_two`] says so.
///
/// # Safety
/// The processor has `vector`; `product` describes memory of that size that may be read and, for `c`, written.
pub unsafe fn multiply(vector: Vector, format: Format, product: Product, rows: usize) {
    let kernels = kernels(vector, format);
    if product.second.is_some() {
        // SAFETY: as the caller vouches for.
        return unsafe { kernels.of_two[rows - 1](&product) };
    }
    for unit in (0..OF_PANEL).step_by(kernels.units) {
        for step in steps(rows, kernels.rows.len()) {
            // SAFETY: offsets stay within the rows and units that the caller vouches for.
            unsafe {
                kernels.rows[step.len() - 1](&Product {
                    a: product.a.add(step.start * product.lda),
                    b: product.b.add(unit * product.b_unit),
                    c: product.c.add(step.start * product.ldc + unit * UNIT),
                    ..product
                });
            }
        }
    }
}

impl Product {
    /// Where a unit's columns begin, in bytes from `b`.
    fn b_of(&self, unit: usize) -> usize {
        unit % OF_PANEL * self.b_unit + unit / OF_PANEL * self.second.unwrap_or_default().b
    }

    /// Where a unit's sums begin, in numbers from `c`.
    fn c_of(&self, unit: usize) -> usize {
        unit % OF_PANEL * UNIT + unit / OF_PANEL * self.second.unwrap_or_default().c
    }
}

fn kernels(vector: Vector, format: Format) -> Kernels {
    macro_rules! table {
        ($isa:ident, $format:expr, $units:literal, [$($rows:literal)*], [$($of_two:literal)*]) => {
            Kernels {
                rows: &[$($isa::product::<{ $format }, $rows, $units>),*],
                units: $units,
                of_two: &[$($isa::product::<{ $format }, $of_two, { 2 * OF_PANEL }>),*],
            }
        };
    }
    macro_rules! tables {
        ($isa:ident, $units:literal, $rows:tt, $of_two:tt) => {
            match format {
                Format::F32 => table!($isa, F32, $units, $rows, $of_two),
                Format::F16 => table!($isa, F16, $units, $rows, $of_two),
                Format::Bf16Pairs => table!($isa, PAIRS, $units, $rows, $of_two),
            }
        };
    }
    match vector {
        // 28 sums, the two units of b, and a from memory: 30 of 32 registers.
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 => tables!(avx512, 2, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4]),
        // A unit is two registers: 12 sums of 16.
        #[cfg(target_arch = "x86_64")]
        Vector::Avx2 => tables!(avx2, 1, [1 2 3 4 5 6], []),
        Vector::Portable => tables!(portable, 1, [1 2 3 4], []),
    }
}

macro_rules! product_kernel {
    ($(#[$feature:meta])*) => {
        /// # Safety
        /// As [`multiply`](super::multiply), for `ROWS` rows and `UNITS` units.
        $(#[$feature])*
        pub unsafe fn product<const FORMAT: u8, const ROWS: usize, const UNITS: usize>(p: &Product) {
            let mut sums = [[zero(); UNITS]; ROWS];
            // SAFETY: the caller vouches for all rows and units.
            unsafe {
                if !p.first {
                    for row in 0..ROWS {
                        for unit in 0..UNITS {
                            sums[row][unit] = load_f32(p.c.add(row * p.ldc + p.c_of(unit)).cast());
                        }
                    }
                }
                for k in 0..p.k {
                    let b = p.b.add(k * p.b_row);
                    if FORMAT == PAIRS {
                        let mut pairs = [(zero(), zero()); UNITS];
                        for unit in 0..UNITS {
                            pairs[unit] = load_pairs(b.add(p.b_of(unit)));
                        }
                        for row in 0..ROWS {
                            let a = p.a.add(row * p.lda + 2 * k);
                            for unit in 0..UNITS {
                                sums[row][unit] = fma(splat(*a.add(1)), pairs[unit].1, sums[row][unit]);
                                sums[row][unit] = fma(splat(*a), pairs[unit].0, sums[row][unit]);
                            }
                        }
                        continue;
                    }
                    let mut columns = [zero(); UNITS];
                    for unit in 0..UNITS {
                        let at = b.add(p.b_of(unit));
                        columns[unit] = match FORMAT {
                            F16 => load_f16(at),
                            _ => load_f32(at),
                        };
                    }
                    for row in 0..ROWS {
                        let a = splat(*p.a.add(row * p.lda + k));
                        for unit in 0..UNITS {
                            sums[row][unit] = fma(a, columns[unit], sums[row][unit]);
                        }
                    }
                }
                for row in 0..ROWS {
                    for unit in 0..UNITS {
                        store(p.c.add(row * p.ldc + p.c_of(unit)), sums[row][unit]);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{F16, PAIRS, Product};

    product_kernel!(#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]);

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
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { _mm512_loadu_ps(at.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_f16(at: *const u8) -> __m512 {
        // SAFETY: the caller vouches for 32 bytes.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_pairs(at: *const u8) -> (__m512, __m512) {
        // SAFETY: the caller vouches for 64 bytes.
        let bits = unsafe { _mm512_loadu_si512(at.cast()) };
        let odd = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
        (_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)), _mm512_castsi512_ps(odd))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store(at: *mut f32, x: __m512) {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { _mm512_storeu_ps(at, x) }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{F16, PAIRS, Product};

    product_kernel!(#[target_feature(enable = "avx2,fma,f16c")]);

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
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { [_mm256_loadu_ps(at.cast()), _mm256_loadu_ps(at.add(32).cast())] }
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load_f16(at: *const u8) -> Pair {
        // SAFETY: the caller vouches for 32 bytes.
        let (low, high) = unsafe { (_mm_loadu_si128(at.cast()), _mm_loadu_si128(at.add(16).cast())) };
        [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_pairs(at: *const u8) -> (Pair, Pair) {
        // SAFETY: the caller vouches for 64 bytes.
        let bits = unsafe { [_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())] };
        let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
        let even = bits.map(|half| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(half)));
        (even, bits.map(|half| _mm256_castsi256_ps(_mm256_and_si256(half, mask))))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(at: *mut f32, x: Pair) {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe {
            _mm256_storeu_ps(at, x[0]);
            _mm256_storeu_ps(at.add(8), x[1]);
        }
    }
}

mod portable {
    use half::f16;

    use super::{F16, PAIRS, Product, UNIT};

    product_kernel!();

    type Numbers = [f32; UNIT];

    #[inline]
    fn zero() -> Numbers {
        [0.0; UNIT]
    }

    #[inline]
    fn splat(x: f32) -> Numbers {
        [x; UNIT]
    }

    #[inline]
    fn fma(a: Numbers, b: Numbers, c: Numbers) -> Numbers {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline]
    unsafe fn load_f32(at: *const u8) -> Numbers {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { at.cast::<Numbers>().read_unaligned() }
    }

    #[inline]
    unsafe fn load_f16(at: *const u8) -> Numbers {
        // SAFETY: the caller vouches for 32 bytes.
        unsafe { at.cast::<[u16; UNIT]>().read_unaligned() }.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline]
    unsafe fn load_pairs(at: *const u8) -> (Numbers, Numbers) {
        // SAFETY: the caller vouches for 64 bytes.
        let bits = unsafe { at.cast::<[u32; UNIT]>().read_unaligned() };
        (bits.map(|b| f32::from_bits(b << 16)), bits.map(|b| f32::from_bits(b & 0xffff_0000)))
    }

    #[inline]
    unsafe fn store(at: *mut f32, x: Numbers) {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { at.cast::<Numbers>().write_unaligned(x) }
    }
}

//! The operands of a kernel.

use crate::kernels::layout::{LANES, NR};
use crate::kernels::tiles::Tiles;

/// Operands of a kernel: `c[i][j] = sum of a[i][p] * b[p][j]` over `k` terms, for `m` rows and the columns of one packed panel,
/// or of two.
pub struct GemmArgs<'a, A> {
    /// Rows of A and C.
    pub m: usize,
    /// Terms of each sum.
    pub k: usize,
    /// Rows of A, `lda` elements apart.
    pub a: &'a [A],
    pub lda: usize,
    /// Elements from a block of 32 terms of a row to the next; AMX kernels only.
    pub a_block: usize,
    /// A packed panel of B.
    pub b: Panel<'a>,
    /// The second panel, if the kernel takes two.
    pub second: Option<SecondPanel>,
    /// Rows of C, `ldc` elements apart.
    pub c: &'a mut [f32],
    pub ldc: usize,
    /// Whether sums are added to the content of `c` instead of starting from zero.
    pub accumulate: bool,
    /// The tiles of this thread; AMX kernels only.
    pub tiles: Option<&'a Tiles>,
    /// Scratch memory in which the kernel unpacks the panel, see
    /// [`GemmKernel::scratch`](super::kernel::GemmKernel::scratch).
    pub scratch: &'a mut [u32],
    /// Bytes that are needed next, to be prefetched to the second-level cache meanwhile; AMX kernels only.
    pub prefetch: &'a [u8],
}

/// A packed panel of B.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    /// Starts at the first term and column.
    pub bytes: &'a [u8],
    /// Bytes from a term to the next; in a format of pairs of terms, from a pair to the next.
    pub row: usize,
    /// Bytes from the first 16 columns of a row to the other 16.
    pub half: usize,
}

/// The second of two panels, by its distance from the first.
#[derive(Debug, Clone, Copy, Default)]
pub struct SecondPanel {
    /// In bytes of B.
    pub b: usize,
    /// In elements of C.
    pub c: usize,
}

impl<'a, A> GemmArgs<'a, A> {
    /// For a vector kernel, which needs no tiles, unpacks nothing and prefetches nothing.
    pub fn of_vectors(
        m: usize,
        k: usize,
        (a, lda): (&'a [A], usize),
        b: Panel<'a>,
        (c, ldc): (&'a mut [f32], usize),
        accumulate: bool,
    ) -> Self {
        let (second, tiles, scratch, prefetch) = (None, None, &mut [][..], &[][..]);
        Self { m, k, a, lda, a_block: 0, b, second, c, ldc, accumulate, tiles, scratch, prefetch }
    }

    /// Asserts that `m` rows of A of `a_row` elements, `b_rows` rows of B whose halves have `b_half` bytes,
    /// and `m` rows of C lie within their slices.
    pub fn assert_extents(&self, m: usize, a_row: usize, b_rows: usize, b_half: usize) {
        let second = self.second.unwrap_or_default();
        let a = (m - 1) * self.lda + a_row;
        let b = (b_rows - 1) * self.b.row + self.b.half + b_half + second.b;
        let c = (m - 1) * self.ldc + NR + second.c;
        assert!(
            a <= self.a.len() && b <= self.b.bytes.len() && c <= self.c.len(),
            "operands of {m} rows and {} terms lie within their slices",
            self.k
        );
    }

    /// Bytes from the panel's start to a vector's columns in its first row. Vector indices continue into the
    /// second panel.
    #[inline(always)]
    pub(super) fn b_offset(&self, vector: usize) -> usize {
        vector % VECTORS * self.b.half + vector / VECTORS * self.second.unwrap_or_default().b
    }

    /// Elements from the first column of C to a vector's. Vector indices continue into the second panel.
    #[inline(always)]
    pub(super) fn c_offset(&self, vector: usize) -> usize {
        vector % VECTORS * LANES + vector / VECTORS * self.second.unwrap_or_default().c
    }
}

/// Vectors of 16 columns in a panel.
pub(super) const VECTORS: usize = NR / LANES;

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
    /// Rows of A, `lda` numbers apart.
    pub a: &'a [A],
    pub lda: usize,
    /// Numbers from a block of 32 terms of a row to the next one; AMX kernels only.
    pub a_block: usize,
    /// A packed panel of B.
    pub b: Panel<'a>,
    /// The panel to be multiplied with it, where the kernel takes two.
    pub second: Option<SecondPanel>,
    /// Rows of C, `ldc` numbers apart.
    pub c: &'a mut [f32],
    pub ldc: usize,
    /// Whether sums go on from what `c` holds, instead of from zero.
    pub accumulate: bool,
    /// The tiles of this thread; AMX kernels only.
    pub tiles: Option<&'a Tiles>,
    /// Where the kernel unpacks the panel, see [`GemmKernel::scratch`](super::kernel::GemmKernel::scratch).
    pub scratch: &'a mut [u32],
    /// Bytes that are needed next, to be fetched to the second-level cache meanwhile; AMX kernels only.
    pub prefetch: &'a [u8],
}

/// A packed panel of B.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    /// From the first term and column on.
    pub bytes: &'a [u8],
    /// Bytes from a term to the next; of a format that packs pairs of terms, from a pair to the next.
    pub row: usize,
    /// Bytes from the first 16 columns of a row to the other 16.
    pub half: usize,
}

/// The second of two panels, by its distance from the first.
#[derive(Debug, Clone, Copy, Default)]
pub struct SecondPanel {
    /// Bytes of B.
    pub b: usize,
    /// Numbers of C.
    pub c: usize,
}

impl<'a, A> GemmArgs<'a, A> {
    /// Those of a kernel by vectors: it needs no tiles, unpacks nothing and prefetches nothing.
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

    /// Asserts that rows of A of `a_row` numbers, `b_rows` rows of B whose halves have `b_half` bytes, and rows of C lie within their
    /// slices, for `m` rows.
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

    /// Bytes from the panel's start to a vector's columns in its first row; vectors count on into the second panel.
    #[inline(always)]
    pub(super) fn b_offset(&self, vector: usize) -> usize {
        vector % VECTORS * self.b.half + vector / VECTORS * self.second.unwrap_or_default().b
    }

    /// Numbers from the first column of C to a vector's; vectors count on into the second panel.
    #[inline(always)]
    pub(super) fn c_offset(&self, vector: usize) -> usize {
        vector % VECTORS * LANES + vector / VECTORS * self.second.unwrap_or_default().c
    }
}

/// Vectors of 16 columns in a panel.
pub(super) const VECTORS: usize = NR / LANES;

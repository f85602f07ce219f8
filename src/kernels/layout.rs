//! Sizes and layouts shared by packing, GEMM kernels and attention.

use std::ops::Range;

/// Columns of a packed panel of B, the same for every kernel.
pub const NR: usize = 32;
/// Single-precision elements of a 512-bit vector. SIMD kernels take a panel in halves of this many columns.
pub const LANES: usize = 16;
/// Terms of a sum (`k`) in an AMX tile. Rows of A and panels of B are padded with zeros to a multiple of it.
pub const TILE_K: usize = 32;
/// Rows of an AMX tile.
pub const TILE_M: usize = 16;

/// `k` rounded up to whole blocks of [`TILE_K`].
pub fn padded_k(k: usize) -> usize {
    k.next_multiple_of(TILE_K)
}

/// Index of an element in a panel of pairs, `[k / 2][NR][2]`.
pub fn pair_index(k: usize, column: usize) -> usize {
    (k / 2 * NR + column) * 2 + k % 2
}

/// Splits rows `0..m` into even steps of at most `mr`: a step for a remainder would cost as much as a full
/// one.
pub fn even_steps(m: usize, mr: usize) -> impl Iterator<Item = Range<usize>> {
    let count = m.div_ceil(mr);
    (0..count).map(move |step| m * step / count..m * (step + 1) / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_even_and_cover_all_rows() {
        for m in 1..70 {
            let steps: Vec<_> = even_steps(m, 14).collect();
            assert_eq!(steps.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..m).collect::<Vec<_>>());
            let (least, most) = (steps.iter().map(Range::len).min(), steps.iter().map(Range::len).max());
            assert!(most.unwrap() <= 14 && most.unwrap() - least.unwrap() <= 1, "{m} rows");
        }
        assert_eq!(even_steps(0, 14).count(), 0);
    }
}

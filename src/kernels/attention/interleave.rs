//! Transposes rows into columns, 16 by 16 elements of 32 bits at a time.

use crate::kernels::isa::Vector;

/// Rows of a block: those of a [`KV_BLOCK`](super::groups::KV_BLOCK).
const ROWS: usize = 32;

/// Transposes 32 bfloat16 rows into columns: `to` is `[width][32]`. Empty rows count as zeros.
pub fn to_columns(vector: Vector, rows: &[&[u8]; ROWS], to: &mut [u16]) {
    let width = to.len() / ROWS;
    match vector {
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 if width.is_multiple_of(ROWS) => {
            check_width(rows, width);
            // SAFETY: the processor has AVX-512; the lengths of rows and columns were just checked.
            unsafe { avx512::to_columns(rows, to, width) }
        }
        _ => {
            for (position, row) in rows.iter().enumerate() {
                for (d, column) in to.chunks_exact_mut(ROWS).enumerate() {
                    column[position] = number(row, d);
                }
            }
        }
    }
}

/// Transposes 32 bfloat16 rows into columns of pairs: `to` is `[width / 2][32][2]`. Empty rows count as
/// zeros.
pub fn to_pair_columns(vector: Vector, rows: &[&[u8]; ROWS], to: &mut [u16]) {
    let width = to.len() / ROWS;
    match vector {
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 if width.is_multiple_of(ROWS) => {
            check_width(rows, width);
            // SAFETY: the processor has AVX-512; the lengths of rows and columns were just checked.
            unsafe { avx512::to_pair_columns(rows, to, width) }
        }
        _ => {
            for (pair, columns) in to.chunks_exact_mut(2 * ROWS).enumerate() {
                for (both, row) in columns.chunks_exact_mut(2).zip(rows) {
                    both.copy_from_slice(&[number(row, 2 * pair), number(row, 2 * pair + 1)]);
                }
            }
        }
    }
}

/// Interleaves pairs of 32 bfloat16 rows: `to` is `[16][width][2]`, zero beyond the end of shorter rows.
/// Empty rows count as zeros.
pub fn to_pair_rows(vector: Vector, rows: &[&[u8]; ROWS], to: &mut [u16]) {
    let width = to.len() / ROWS;
    match vector {
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512
            if width.is_multiple_of(ROWS)
                && rows.iter().all(|row| row.is_empty() || row.len() == 2 * width) =>
        {
            // SAFETY: the processor has AVX-512; the lengths of rows were just checked.
            unsafe { avx512::to_pair_rows(rows, to, width) }
        }
        _ => {
            for (rows, pairs) in rows.as_chunks::<2>().0.iter().zip(to.chunks_exact_mut(2 * width)) {
                for (d, both) in pairs.chunks_exact_mut(2).enumerate() {
                    both.copy_from_slice(&rows.map(|row| number(row, d)));
                }
            }
        }
    }
}

/// Element `d` of a row of bytes; zero beyond its end.
fn number(row: &[u8], d: usize) -> u16 {
    row.get(2 * d..2 * d + 2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]))
}

#[cfg(target_arch = "x86_64")]
fn check_width(rows: &[&[u8]; ROWS], width: usize) {
    assert!(rows.iter().all(|row| row.is_empty() || row.len() == 2 * width), "rows are of one width");
}

/// Transposes 16 single-precision rows into columns: `to` is `[width][16]`. Empty rows count as zeros.
pub fn to_f32_columns(vector: Vector, rows: &[&[u8]; 16], to: &mut [f32]) {
    let width = to.len() / 16;
    let whole = match vector {
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 => {
            assert!(rows.iter().all(|row| row.is_empty() || row.len() == 4 * width), "rows are of one width");
            // SAFETY: the processor has AVX-512; the lengths of rows and columns were just checked.
            unsafe { avx512::to_f32_columns(rows, width, to) };
            width / 16 * 16
        }
        _ => 0,
    };
    for d in whole..width {
        for (to, row) in to[d * 16..].iter_mut().zip(rows) {
            let number = row.get(4 * d..).and_then(|rest| rest.first_chunk::<4>());
            *to = number.map_or(0.0, |bytes| f32::from_ne_bytes(*bytes));
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub mod avx512 {
    use std::arch::x86_64::*;

    use crate::kernels::attention::interleave::ROWS;

    /// Transposes 16 rows of 16 elements of 32 bits.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
        let mut a = rows;
        for i in (0..16).step_by(2) {
            a[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
            a[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
        }
        let mut b = a;
        for i in (0..16).step_by(4) {
            b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
            b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
            b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
            b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
        }
        // Quarter c of b[4 * q + j] now holds column 4 * c + j of rows 4 * q to 4 * q + 3.
        let mut to = b;
        for j in 0..4 {
            let low = _mm512_shuffle_i32x4::<0x44>(b[j], b[4 + j]);
            let high = _mm512_shuffle_i32x4::<0xee>(b[j], b[4 + j]);
            let low2 = _mm512_shuffle_i32x4::<0x44>(b[8 + j], b[12 + j]);
            let high2 = _mm512_shuffle_i32x4::<0xee>(b[8 + j], b[12 + j]);
            to[j] = _mm512_shuffle_i32x4::<0x88>(low, low2);
            to[4 + j] = _mm512_shuffle_i32x4::<0xdd>(low, low2);
            to[8 + j] = _mm512_shuffle_i32x4::<0x88>(high, high2);
            to[12 + j] = _mm512_shuffle_i32x4::<0xdd>(high, high2);
        }
        to
    }

    /// Transposes the whole blocks of 16 columns.
    ///
    /// # Safety
    /// The processor has AVX-512; `to` has `16 * width` elements, and each row `4 * width` bytes or none.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn to_f32_columns(rows: &[&[u8]; 16], width: usize, to: &mut [f32]) {
        for d in (0..width / 16 * 16).step_by(16) {
            let mut block = [_mm512_setzero_si512(); 16];
            for (numbers, row) in block.iter_mut().zip(rows) {
                // SAFETY: 16 elements from column `d` on are 32 16-bit elements from `2 * d` on.
                *numbers = unsafe { load(row, 2 * d) };
            }
            for (column, numbers) in transposed(block).into_iter().enumerate() {
                // SAFETY: one of `width` columns of 16 elements.
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().add((d + column) * 16).cast(), numbers) };
            }
        }
    }

    /// Elements `d..d + 32` of a row; zeros if it is empty.
    ///
    /// # Safety
    /// The processor has AVX-512; the row has these elements or is empty.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(row: &[u8], d: usize) -> __m512i {
        if row.is_empty() {
            _mm512_setzero_si512()
        } else {
            // SAFETY: the caller guarantees these elements.
            unsafe { _mm512_loadu_si512(row.as_ptr().add(2 * d).cast()) }
        }
    }

    /// Indices that interleave the elements of two rows, for 16 columns from `start` on.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn interleave_indices(start: i16) -> __m512i {
        let mut at = [0i16; 32];
        for (i, at) in at.iter_mut().enumerate() {
            *at = start + (i / 2) as i16 + if i % 2 == 1 { 32 } else { 0 };
        }
        // SAFETY: the array has 64 bytes.
        unsafe { _mm512_loadu_si512(at.as_ptr().cast()) }
    }

    /// # Safety
    /// The processor has AVX-512; `width` is a multiple of 32, `to` has `32 * width` elements, and each row
    /// `2 * width` bytes or none.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub unsafe fn to_columns(rows: &[&[u8]; ROWS], to: &mut [u16], width: usize) {
        let (low, high) = (interleave_indices(0), interleave_indices(16));
        let zero = _mm512_setzero_si512();
        for d in (0..width).step_by(32) {
            let (mut first, mut second) = ([zero; 16], [zero; 16]);
            for pair in 0..16 {
                // SAFETY: the caller guarantees 32 elements from `d` on in each row that is not empty.
                let (a, b) = unsafe { (load(rows[2 * pair], d), load(rows[2 * pair + 1], d)) };
                first[pair] = _mm512_permutex2var_epi16(a, low, b);
                second[pair] = _mm512_permutex2var_epi16(a, high, b);
            }
            for (half, pairs) in [first, second].into_iter().enumerate() {
                for (column, numbers) in transposed(pairs).into_iter().enumerate() {
                    // SAFETY: column `d + 16 * half + column` of `to`, 32 elements.
                    unsafe {
                        let at = to.as_mut_ptr().add((d + 16 * half + column) * ROWS);
                        _mm512_storeu_si512(at.cast(), numbers);
                    }
                }
            }
        }
    }

    /// # Safety
    /// As for [`to_columns`].
    #[target_feature(enable = "avx512f")]
    pub unsafe fn to_pair_columns(rows: &[&[u8]; ROWS], to: &mut [u16], width: usize) {
        for d in (0..width).step_by(32) {
            for (half, rows) in rows.as_chunks::<16>().0.iter().enumerate() {
                let mut pairs = [_mm512_setzero_si512(); 16];
                for (pairs, row) in pairs.iter_mut().zip(rows) {
                    // SAFETY: the caller guarantees 32 elements from `d` on in each row that is not empty.
                    *pairs = unsafe { load(row, d) };
                }
                for (pair, column) in transposed(pairs).into_iter().enumerate() {
                    // SAFETY: 16 of the 32 columns of pair `d / 2 + pair`.
                    unsafe {
                        let at = to.as_mut_ptr().add((d / 2 + pair) * 2 * ROWS + half * ROWS);
                        _mm512_storeu_si512(at.cast(), column);
                    }
                }
            }
        }
    }

    /// # Safety
    /// As for [`to_columns`].
    #[target_feature(enable = "avx512f,avx512bw")]
    pub unsafe fn to_pair_rows(rows: &[&[u8]; ROWS], to: &mut [u16], width: usize) {
        let (low, high) = (interleave_indices(0), interleave_indices(16));
        for (pair, rows) in rows.as_chunks::<2>().0.iter().enumerate() {
            for d in (0..width).step_by(32) {
                // SAFETY: the caller guarantees 32 elements from `d` on in each row that is not empty, and 32
                // pairs in `to`.
                unsafe {
                    let (a, b) = (load(rows[0], d), load(rows[1], d));
                    let at = to.as_mut_ptr().add((pair * width + d) * 2);
                    _mm512_storeu_si512(at.cast(), _mm512_permutex2var_epi16(a, low, b));
                    _mm512_storeu_si512(at.add(ROWS).cast(), _mm512_permutex2var_epi16(a, high, b));
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
    fn every_number_comes_to_its_column() {
        for width in [6, 32, 96] {
            let number = |row: usize, d: usize| (row * 1000 + d) as u16;
            let bytes: Vec<Vec<u8>> = (0..ROWS)
                .map(|row| (0..width).flat_map(|d| number(row, d).to_ne_bytes()).collect())
                .collect();
            let mut rows: [&[u8]; ROWS] = std::array::from_fn(|row| bytes[row].as_slice());
            (rows[0], rows[17]) = (&[], &[]);
            for vector in Isa::vectors() {
                let single = |row: usize, d: usize| (row * 1000 + d) as f32;
                let bytes: Vec<Vec<u8>> = (0..16)
                    .map(|row| (0..width).flat_map(|d| single(row, d).to_ne_bytes()).collect())
                    .collect();
                let mut singles: [&[u8]; 16] = std::array::from_fn(|row| bytes[row].as_slice());
                singles[11] = &[];
                let mut unit = vec![f32::NAN; 16 * width];
                to_f32_columns(vector, &singles, &mut unit);
                for (at, &found) in unit.iter().enumerate() {
                    let (d, row) = (at / 16, at % 16);
                    let expected = if row == 11 { 0.0 } else { single(row, d) };
                    assert_eq!(found, expected, "{vector:?}, width {width}");
                }
                let expected_in =
                    |row: usize, d: usize| if row == 0 || row == 17 { 0 } else { number(row, d) };
                let mut to = vec![9999; width * ROWS];
                to_pair_columns(vector, &rows, &mut to);
                for (at, &found) in to.iter().enumerate() {
                    let (d, row) = (at / (2 * ROWS) * 2 + at % 2, at / 2 % ROWS);
                    assert_eq!(
                        found,
                        expected_in(row, d),
                        "{vector:?}, width {width}, row {row}, pair of {d}"
                    );
                }
                // Columns beyond the end of a row are zero.
                for wider in [width, width + 6] {
                    let mut to = vec![9999; wider * ROWS];
                    to_pair_rows(vector, &rows, &mut to);
                    for (at, &found) in to.iter().enumerate() {
                        let (d, row) = (at / 2 % wider, at / (2 * wider) * 2 + at % 2);
                        let expected = if d < width { expected_in(row, d) } else { 0 };
                        assert_eq!(found, expected, "{vector:?}, width {wider}, row {row}, column {d}");
                    }
                }
                to_columns(vector, &rows, &mut to);
                for (at, &found) in to.iter().enumerate() {
                    let (d, row) = (at / ROWS, at % ROWS);
                    assert_eq!(
                        found,
                        expected_in(row, d),
                        "{vector:?}, width {width}, row {row}, column {d}"
                    );
                }
            }
        }
    }
}

//! Rows to columns, 16 by 16 numbers of 32 bits at a time.

use super::isa::Vector;

/// Rows of a block, as [`BLOCK`](super::attention::BLOCK).
const ROWS: usize = 32;

/// 32 rows of bfloat16 numbers to columns: `to` is `[width][32]`. Rows without bytes count as zeros.
pub fn to_columns(vector: Vector, rows: &[&[u8]; ROWS], to: &mut [u16]) {
    let width = to.len() / ROWS;
    match vector {
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 if width.is_multiple_of(ROWS) => {
            assert!(rows.iter().all(|row| row.is_empty() || row.len() == 2 * width), "rows are of one width");
            // SAFETY: the processor has AVX-512; rows and columns are as long as just checked.
            unsafe { wide::to_columns(rows, to, width) }
        }
        _ => {
            for (place, row) in rows.iter().enumerate() {
                for (d, column) in to.chunks_exact_mut(ROWS).enumerate() {
                    column[place] = row.get(2 * d..2 * d + 2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]));
                }
            }
        }
    }
}

/// 16 rows of `width` numbers to columns: `to` is `[width][16]`.
pub fn to_unit(vector: Vector, rows: &[f32], width: usize, to: &mut [f32]) {
    assert!(rows.len() == 16 * width && to.len() == rows.len(), "16 rows are as many numbers as 16 columns");
    let whole = match vector {
        #[cfg(target_arch = "x86_64")]
        Vector::Avx512 => {
            // SAFETY: the processor has AVX-512; rows and columns are as long as just checked.
            unsafe { wide::to_unit(rows, width, to) };
            width / 16 * 16
        }
        _ => 0,
    };
    for d in whole..width {
        for row in 0..16 {
            to[d * 16 + row] = rows[row * width + d];
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub mod wide {
    use std::arch::x86_64::*;

    use super::ROWS;

    /// Columns of 16 rows of 16 numbers of 32 bits.
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
        // Now b[4 * q + j] holds, in each quarter c, column 4 * c + j of rows 4 * q to 4 * q + 3.
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

    /// Whole sixteens of columns.
    ///
    /// # Safety
    /// The processor has AVX-512; both slices hold `16 * width` numbers.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn to_unit(rows: &[f32], width: usize, to: &mut [f32]) {
        for d in (0..width / 16 * 16).step_by(16) {
            let mut block = [_mm512_setzero_si512(); 16];
            for (row, numbers) in block.iter_mut().enumerate() {
                // SAFETY: 16 numbers from column `d` on of one of 16 rows.
                *numbers = unsafe { _mm512_loadu_si512(rows.as_ptr().add(row * width + d).cast()) };
            }
            for (column, numbers) in transposed(block).into_iter().enumerate() {
                // SAFETY: one of `width` columns of 16 numbers.
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().add((d + column) * 16).cast(), numbers) };
            }
        }
    }

    /// # Safety
    /// The processor has AVX-512; `width` is a multiple of 32, `to` holds `32 * width` numbers and each row `2 * width` bytes
    /// or none.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub unsafe fn to_columns(rows: &[&[u8]; ROWS], to: &mut [u16], width: usize) {
        // Numbers of two rows in turn: of the first 16 columns, and of the next.
        let pick = |start: i16| {
            let mut at = [0i16; 32];
            for (i, at) in at.iter_mut().enumerate() {
                *at = start + (i / 2) as i16 + if i % 2 == 1 { 32 } else { 0 };
            }
            // SAFETY: 64 bytes of an array.
            unsafe { _mm512_loadu_si512(at.as_ptr().cast()) }
        };
        let (low, high) = (pick(0), pick(16));
        let zero = _mm512_setzero_si512();
        for d in (0..width).step_by(32) {
            // SAFETY: the caller vouches for 32 numbers from `d` on in each row that has any.
            let load = |row: &[u8]| match row.is_empty() {
                true => zero,
                false => unsafe { _mm512_loadu_si512(row.as_ptr().add(2 * d).cast()) },
            };
            let (mut first, mut second) = ([zero; 16], [zero; 16]);
            for pair in 0..16 {
                let (a, b) = (load(rows[2 * pair]), load(rows[2 * pair + 1]));
                first[pair] = _mm512_permutex2var_epi16(a, low, b);
                second[pair] = _mm512_permutex2var_epi16(a, high, b);
            }
            for (half, pairs) in [first, second].into_iter().enumerate() {
                for (column, numbers) in transposed(pairs).into_iter().enumerate() {
                    // SAFETY: column `d + 16 * half + column` of `to`, 32 numbers.
                    unsafe {
                        let at = to.as_mut_ptr().add((d + 16 * half + column) * ROWS);
                        _mm512_storeu_si512(at.cast(), numbers);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cpu::isa::Isa;

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
                let numbers: Vec<f32> = (0..16 * width).map(|at| at as f32).collect();
                let mut unit = vec![f32::NAN; 16 * width];
                to_unit(vector, &numbers, width, &mut unit);
                for (at, &found) in unit.iter().enumerate() {
                    assert_eq!(found, (at % 16 * width + at / 16) as f32, "{vector:?}, width {width}");
                }
                let mut to = vec![9999; width * ROWS];
                to_columns(vector, &rows, &mut to);
                for (at, &found) in to.iter().enumerate() {
                    let (d, row) = (at / ROWS, at % ROWS);
                    let expected = if row == 0 || row == 17 { 0 } else { number(row, d) };
                    assert_eq!(found, expected, "{vector:?}, width {width}, row {row}, column {d}");
                }
            }
        }
    }
}

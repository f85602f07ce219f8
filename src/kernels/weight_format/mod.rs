//! Formats of weights: one file per format.
//!
//! A format defines how many elements a stored block has and how they are read, how rows of blocks are packed
//! into panels, how a panel is unpacked, and which kernel multiplies with it. It does not define how files
//! name it.

mod bf16;
mod f16;
mod f32;
mod format;

pub use format::WeightFormat;

use super::dtype::Dtype;

/// The format in which weights of a model in `dtype` are packed.
pub fn of_dtype(dtype: Dtype) -> &'static dyn WeightFormat {
    match dtype {
        Dtype::F32 => &f32::F32,
        Dtype::Bf16 => &bf16::Bf16,
        Dtype::F16 => &f16::F16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::packing::pack_each;
    use crate::kernels::isa::Isa;
    use crate::kernels::layout::{NR, padded_k, pair_index};
    use crate::kernels::testing::numbers;

    #[test]
    fn what_is_packed_is_unpacked_whole_and_by_the_column() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let format = of_dtype(dtype);
            for (rows, columns) in [(NR, 64), (NR, 35), (7, 64), (1, 2)] {
                let all = numbers(rows * columns, 5);
                let mut piece = vec![0; format.bytes(all.len())];
                dtype.write(&all, &mut piece);
                let mut read = vec![f32::NAN; all.len()];
                format.read(&piece, &mut read);
                assert_eq!(read, all, "{dtype}");
                for vector in Isa::vectors() {
                    let mut panel = vec![0; format.bytes(padded_k(columns) * NR)];
                    format.pack(vector, &piece, rows, &mut panel);
                    let mut unpacked = vec![f32::NAN; columns * NR];
                    format.unpack(&panel, 0..columns, 0..NR, &mut unpacked);
                    for row in 0..NR {
                        let mut column = vec![f32::NAN; columns - 1];
                        format.unpack(&panel, 1..columns, row..row + 1, &mut column);
                        for k in 0..columns {
                            let expected = if row < rows { all[row * columns + k] } else { 0.0 };
                            assert_eq!(
                                unpacked[k * NR + row],
                                expected,
                                "{dtype} {vector:?}, row {row}, term {k}"
                            );
                            assert!(k == 0 || column[k - 1] == expected, "{dtype}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn whole_blocks_are_packed_as_numbers_are_one_by_one() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let columns = 96;
            let piece: Vec<u8> =
                (0..NR * columns * dtype.size()).map(|at| ((at * 40_503) >> 7) as u8).collect();
            let mut expected = vec![0; piece.len()];
            match dtype {
                Dtype::F32 => pack_each::<4>(&piece, NR, &mut expected, |k, column| k * NR + column),
                Dtype::F16 => pack_each::<2>(&piece, NR, &mut expected, |k, column| k * NR + column),
                Dtype::Bf16 => pack_each::<2>(&piece, NR, &mut expected, pair_index),
            }
            for vector in Isa::vectors() {
                let mut found = vec![0; piece.len()];
                of_dtype(dtype).pack(vector, &piece, NR, &mut found);
                assert!(found == expected, "{vector:?}, {dtype}");
            }
        }
    }
}

//! Half precision.

use std::ops::Range;

use half::f16;

use super::format::{WeightFormat, unpack_each};
use crate::kernels::gemm::kernel::Kernel;
use crate::kernels::gemm::packing::{pack_each, pack_words};
use crate::kernels::gemm::simd::{self, PanelFormat};
use crate::kernels::isa::{Isa, Vector};
use crate::kernels::layout::NR;

/// IEEE half precision; panels are `[k][NR]`. Kernels widen it as they load it.
#[derive(Debug)]
pub struct F16;

impl WeightFormat for F16 {
    fn name(&self) -> &'static str {
        "float16"
    }

    fn block_len(&self) -> usize {
        1
    }

    fn block_bytes(&self) -> usize {
        size_of::<f16>()
    }

    fn read(&self, blocks: &[u8], to: &mut [f32]) {
        to.iter_mut()
            .zip(blocks.as_chunks::<2>().0)
            .for_each(|(to, word)| *to = f16::from_le_bytes(*word).to_f32());
    }

    fn pack(&self, vector: Vector, piece: &[u8], rows: usize, panel: &mut [u8]) {
        if pack_words(vector, piece, rows, panel) {
            separate_pairs(&mut panel[..piece.len()]);
        } else {
            pack_each::<2>(piece, rows, panel, |k, column| k * NR + column);
        }
    }

    fn unpack(&self, panel: &[u8], terms: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        let words = panel.as_chunks::<2>().0;
        unpack_each(terms, columns, to, |k, column| f16::from_le_bytes(words[k * NR + column]).to_f32());
    }

    fn kernel(&self, isa: Isa) -> Kernel {
        Kernel::F32(simd::kernel(isa.vector, PanelFormat::F16))
    }

    fn panel_row(&self) -> usize {
        NR * size_of::<f16>()
    }
}

/// Separates words that hold two terms of 32 columns into 32 elements of one term and 32 of the next.
fn separate_pairs(panel: &mut [u8]) {
    for both in panel.as_chunks_mut::<{ NR * 4 }>().0 {
        let pairs = *both;
        let (even, odd) = both.split_at_mut(NR * 2);
        let numbers = even.as_chunks_mut::<2>().0.iter_mut().zip(odd.as_chunks_mut::<2>().0);
        for ((even, odd), &[a, b, c, d]) in numbers.zip(pairs.as_chunks::<4>().0) {
            (*even, *odd) = ([a, b], [c, d]);
        }
    }
}

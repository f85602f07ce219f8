//! Single precision.

use std::ops::Range;

use super::format::{WeightFormat, unpack_each};
#[cfg(target_arch = "x86_64")]
use crate::kernels::gemm::amx_f32::AmxF32;
use crate::kernels::gemm::kernel::{Kernel, Microkernel};
use crate::kernels::gemm::packing::{pack_each, pack_words};
use crate::kernels::gemm::simd::{self, PanelFormat};
use crate::kernels::isa::{Isa, Vector};
use crate::kernels::layout::NR;

/// IEEE single precision; panels are `[k][NR]`.
#[derive(Debug)]
pub struct F32;

impl WeightFormat for F32 {
    fn name(&self) -> &'static str {
        "float32"
    }

    fn block_len(&self) -> usize {
        1
    }

    fn block_bytes(&self) -> usize {
        size_of::<f32>()
    }

    fn read(&self, blocks: &[u8], to: &mut [f32]) {
        to.iter_mut().zip(blocks.as_chunks::<4>().0).for_each(|(to, word)| *to = f32::from_le_bytes(*word));
    }

    fn pack(&self, vector: Vector, piece: &[u8], rows: usize, panel: &mut [u8]) {
        if !pack_words(vector, piece, rows, panel) {
            pack_each::<4>(piece, rows, panel, |k, column| k * NR + column);
        }
    }

    fn unpack(&self, panel: &[u8], terms: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        let words = panel.as_chunks::<4>().0;
        unpack_each(terms, columns, to, |k, column| f32::from_le_bytes(words[k * NR + column]));
    }

    fn kernel(&self, isa: Isa) -> Kernel {
        #[cfg(target_arch = "x86_64")]
        if isa.has_tiles() {
            return Kernel::Bf16x3(Microkernel::of::<AmxF32>());
        }
        Kernel::F32(simd::kernel(isa.vector, PanelFormat::F32))
    }

    fn panel_row(&self) -> usize {
        NR * size_of::<f32>()
    }
}

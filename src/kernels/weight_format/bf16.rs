//! bfloat16.

use std::ops::Range;

use half::bf16;

use super::format::{WeightFormat, unpack_each};
use crate::kernels::gemm::kernel::Kernel;
use crate::kernels::gemm::packing::{pack_each, pack_words};
use crate::kernels::gemm::simd::{self, PanelFormat};
#[cfg(target_arch = "x86_64")]
use crate::kernels::gemm::{amx::AmxBf16, bf16_dot::Bf16Dot, kernel::Microkernel};
use crate::kernels::isa::{Bf16Path, Isa, Vector};
use crate::kernels::layout::{NR, pair_index};

/// bfloat16; panels are `[k / 2][NR][2]`, pairs of terms.
#[derive(Debug)]
pub struct Bf16;

impl WeightFormat for Bf16 {
    fn name(&self) -> &'static str {
        "bfloat16"
    }

    fn block_len(&self) -> usize {
        1
    }

    fn block_bytes(&self) -> usize {
        size_of::<bf16>()
    }

    fn read(&self, blocks: &[u8], to: &mut [f32]) {
        to.iter_mut()
            .zip(blocks.as_chunks::<2>().0)
            .for_each(|(to, word)| *to = bf16::from_le_bytes(*word).to_f32());
    }

    fn pack(&self, vector: Vector, piece: &[u8], rows: usize, panel: &mut [u8]) {
        if !pack_words(vector, piece, rows, panel) {
            pack_each::<2>(piece, rows, panel, pair_index);
        }
    }

    fn unpack(&self, panel: &[u8], terms: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        let words = panel.as_chunks::<2>().0;
        unpack_each(terms, columns, to, |k, column| {
            bf16::from_le_bytes(words[pair_index(k, column)]).to_f32()
        });
    }

    fn kernel(&self, isa: Isa) -> Kernel {
        match isa.bf16 {
            #[cfg(target_arch = "x86_64")]
            Bf16Path::Amx => Kernel::Bf16(Microkernel::of::<AmxBf16>()),
            #[cfg(target_arch = "x86_64")]
            Bf16Path::Dot => Kernel::Bf16(Microkernel::of::<Bf16Dot>()),
            Bf16Path::Widened => Kernel::F32(simd::kernel(isa.vector, PanelFormat::Bf16Pairs)),
        }
    }

    fn panel_row(&self) -> usize {
        2 * NR * size_of::<bf16>()
    }
}

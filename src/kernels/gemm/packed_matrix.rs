//! Weight matrices, packed once for the kernels: the B of a product.
//!
//! A matrix `[outputs][inputs]` is B transposed, `[n][k]`. It is stored as panels of `NR` outputs, each term
//! by term (in bfloat16, by pairs of terms), so that a kernel reads it sequentially. Outputs are padded with
//! zeros to whole panels, inputs to whole blocks of `k`.

use rayon::prelude::*;

use super::kernel::Kernel;
use super::packing::panels_of;
use crate::kernels::dtype::Dtype;
use crate::kernels::isa::Isa;
use crate::kernels::layout::{NR, padded_k};
use crate::kernels::memory::{Aligned, NoMemory, WeightArena, numbers_of};
use crate::kernels::weight_format::{WeightFormat, of_dtype};

/// A packed matrix.
pub struct PackedMatrix {
    pub(super) isa: Isa,
    pub(super) format: &'static dyn WeightFormat,
    pub(super) kernel: Kernel,
    panels: Aligned<u8>,
    /// Number of panels.
    pub(super) count: usize,
    /// Terms of a sum, with padding.
    pub(super) k: usize,
}

impl PackedMatrix {
    /// Packs matrices of `dtype`, each given as little-endian bytes of `[outputs][inputs]` and its number of
    /// outputs, one after another or, if `interleaved`, panel by panel in turn.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn pack(
        isa: Isa,
        dtype: Dtype,
        parts: &[(Vec<u8>, usize)],
        inputs: usize,
        interleaved: bool,
    ) -> Result<Self, NoMemory> {
        let outputs: Vec<usize> = parts.iter().map(|(_, outputs)| *outputs).collect();
        let panels = panels_of(&outputs, interleaved);
        let mut matrix = Self::zeros(isa, dtype, panels.len(), inputs, &mut WeightArena::default())?;
        let format = matrix.format;
        let row = format.bytes(inputs);
        panels.into_iter().zip(matrix.panels_mut()).par_bridge().for_each(|((part, rows), to)| {
            let piece = &parts[part].0[rows.start * row..rows.end * row];
            format.pack(isa.vector, piece, rows.len(), to);
        });
        Ok(matrix)
    }

    /// A matrix of `count` panels, all zero.
    ///
    /// # Errors
    /// If memory cannot be allocated.
    pub fn zeros(
        isa: Isa,
        dtype: Dtype,
        count: usize,
        inputs: usize,
        arena: &mut WeightArena,
    ) -> Result<Self, NoMemory> {
        let format = of_dtype(dtype);
        let k = padded_k(inputs);
        let panels = arena.zeros(count * format.bytes(k * NR))?;
        Ok(Self { isa, format, kernel: format.kernel(isa), panels, count, k })
    }

    /// The panels, to be filled.
    pub fn panels_mut(&mut self) -> impl Iterator<Item = &mut [u8]> + Send {
        let bytes = self.panel_bytes().max(1);
        self.panels.chunks_mut(bytes)
    }

    /// The format of its weights.
    pub fn format(&self) -> &'static dyn WeightFormat {
        self.format
    }

    /// The kernel that multiplies with it.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Outputs, with padding.
    pub fn width(&self) -> usize {
        self.count * NR
    }

    /// Number of elements, with padding.
    pub fn len(&self) -> usize {
        self.width() * self.k
    }

    /// The first `to.len()` weights of one output.
    pub fn row(&self, output: usize, to: &mut [f32]) {
        let (panel, column) = (output / NR, output % NR);
        let panel = &self.panels[self.panel_bytes() * panel..][..self.panel_bytes()];
        self.format.unpack(panel, 0..to.len(), column..column + 1, to);
    }

    /// All panels, whatever their format, reinterpreted as single-precision numbers.
    pub fn numbers(&self) -> &[f32] {
        numbers_of(&self.panels)
    }

    pub(super) fn panels(&self) -> &[u8] {
        &self.panels
    }

    pub(super) fn panel_bytes(&self) -> usize {
        self.panels.len() / self.count.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{bytes, numbers};

    #[test]
    fn parts_lie_where_they_are_looked_for() {
        let isa = Isa::best();
        let inputs = 33;
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let parts = [numbers(40 * inputs, 8), numbers(40 * inputs, 9)];
            let packed = |interleaved| {
                let parts: Vec<_> = parts.iter().map(|part| (bytes(dtype, part), 40)).collect();
                PackedMatrix::pack(isa, dtype, &parts, inputs, interleaved).unwrap()
            };
            let read = |matrix: &PackedMatrix, output| {
                let mut row = vec![0.0; inputs];
                matrix.row(output, &mut row);
                row
            };
            let (apart, mixed) = (packed(false), packed(true));
            for (part, numbers) in parts.iter().enumerate() {
                for output in 0..40 {
                    let expected = &numbers[output * inputs..][..inputs];
                    assert_eq!(read(&apart, part * 64 + output), expected);
                    let panel = output / NR * 2 + part;
                    assert_eq!(read(&mixed, panel * NR + output % NR), expected);
                }
            }
        }
    }
}

//! Weight matrices, packed once for the kernels.
//!
//! A matrix `[out, in]` is stored as panels of 32 outputs, each panel input by input (in bfloat16: pair of inputs by pair),
//! so that a kernel reads it front to back. Outputs are filled up to whole panels, inputs to whole blocks of AMX, by zeros.

use rayon::prelude::*;

use super::inputs::padded;
use super::isa::Isa;
use super::memory::{Aligned, NoMemory, Weightroom};
use super::packing::{self, panels_of};
use super::vector::Format;
use crate::model::Dtype;
use crate::model::numbers::Numbers;

/// Outputs of a panel.
pub const PANEL: usize = 32;

/// A packed matrix.
pub struct Matrix {
    pub(super) isa: Isa,
    pub(super) format: Format,
    pub(super) panels: Aligned<u8>,
    /// Panels of 32 outputs.
    pub(super) count: usize,
    /// With those that fill up the last block.
    pub(super) inputs: usize,
}

impl Matrix {
    /// Packs matrices, each `[outputs, inputs]`, one after another or, where `interleaved`, panel by panel in turn.
    ///
    /// # Errors
    /// No memory.
    pub fn pack(
        isa: Isa,
        parts: &[(Numbers, usize)],
        inputs: usize,
        interleaved: bool,
    ) -> Result<Self, NoMemory> {
        let dtype = parts.first().map_or(Dtype::F32, |(numbers, _)| numbers.dtype());
        let outputs: Vec<usize> = parts.iter().map(|(_, outputs)| *outputs).collect();
        let panels = panels_of(&outputs, interleaved);
        let mut matrix = Self::zeros(isa, dtype, panels.len(), inputs, &mut Weightroom::default())?;
        let format = matrix.format;
        panels.into_iter().zip(matrix.panels_mut()).par_bridge().for_each(|((part, rows), to)| {
            let mut piece = vec![0; rows.len() * inputs * dtype.size()];
            parts[part].0.bytes(rows.start * inputs, &mut piece);
            packing::pack(isa.vector, format, &piece, rows.len(), to);
        });
        Ok(matrix)
    }

    /// A matrix of `count` panels, all zero.
    ///
    /// # Errors
    /// No memory.
    pub fn zeros(
        isa: Isa,
        dtype: Dtype,
        count: usize,
        inputs: usize,
        room: &mut Weightroom,
    ) -> Result<Self, NoMemory> {
        let format = match dtype {
            Dtype::F32 => Format::F32,
            Dtype::F16 => Format::F16,
            Dtype::Bf16 => Format::Bf16Pairs,
        };
        let inputs = padded(inputs);
        let panels = room.zeros(count * inputs * PANEL * dtype.size())?;
        Ok(Self { isa, format, panels, count, inputs })
    }

    /// The panels, to be filled.
    pub fn panels_mut(&mut self) -> impl Iterator<Item = &mut [u8]> + Send {
        let bytes = self.panel_bytes().max(1);
        self.panels.chunks_mut(bytes)
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Outputs, those that fill up panels among them.
    pub fn width(&self) -> usize {
        self.count * PANEL
    }

    /// Numbers held.
    pub fn len(&self) -> usize {
        self.width() * self.inputs
    }

    /// The weights of one output, as many as `to` takes.
    pub fn row(&self, output: usize, to: &mut [f32]) {
        let (panel, column) = (output / PANEL, output % PANEL);
        let bytes = &self.panels[self.panel_bytes() * panel..][..self.panel_bytes()];
        for (k, x) in to.iter_mut().enumerate() {
            let at = |place: usize, size: usize| &bytes[place * size..][..size];
            let bits16 = |place| u16::from_le_bytes([at(place, 2)[0], at(place, 2)[1]]);
            *x = match self.format {
                Format::F32 => {
                    let b = at(k * PANEL + column, 4);
                    f32::from_le_bytes([b[0], b[1], b[2], b[3]])
                }
                Format::F16 => half::f16::from_bits(bits16(k * PANEL + column)).to_f32(),
                Format::Bf16Pairs => half::bf16::from_bits(bits16(pair_place(k, column))).to_f32(),
            };
        }
    }

    /// All panels, whatever their format, as if they held single-precision numbers.
    pub fn numbers(&self) -> &[f32] {
        as_numbers(&self.panels)
    }

    pub(super) fn panel_bytes(&self) -> usize {
        self.panels.len() / self.count.max(1)
    }
}

/// Bytes of panels as single-precision numbers.
pub fn as_numbers(panels: &[u8]) -> &[f32] {
    // SAFETY: any 32 bits are a number; what is not aligned falls off the ends, and panels are.
    let (before, numbers, behind) = unsafe { panels.align_to() };
    assert!(before.is_empty() && behind.is_empty(), "panels are aligned");
    numbers
}

/// Place of a number in a panel of pairs.
pub fn pair_place(k: usize, column: usize) -> usize {
    (k / 2 * PANEL + column) * 2 + k % 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cpu::testing::{numbers, stored};

    #[test]
    fn parts_lie_where_they_are_looked_for() {
        let isa = Isa::best();
        let inputs = 33;
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let parts = [numbers(40 * inputs, 8), numbers(40 * inputs, 9)];
            let packed = |interleaved| {
                let parts: Vec<_> = parts.iter().map(|part| (stored(dtype, part), 40)).collect();
                Matrix::pack(isa, &parts, inputs, interleaved).unwrap()
            };
            let read = |matrix: &Matrix, output| {
                let mut row = vec![0.0; inputs];
                matrix.row(output, &mut row);
                row
            };
            let (apart, mixed) = (packed(false), packed(true));
            for (part, numbers) in parts.iter().enumerate() {
                for output in 0..40 {
                    let expected = &numbers[output * inputs..][..inputs];
                    assert_eq!(read(&apart, part * 64 + output), expected);
                    let panel = output / PANEL * 2 + part;
                    assert_eq!(read(&mixed, panel * PANEL + output % PANEL), expected);
                }
            }
        }
    }
}

//! Weight matrices, packed once for the kernels, and their products with rows of activations.
//!
//! A matrix `[out, in]` is stored as panels of 32 outputs, each panel input by input (in bfloat16: pair of inputs by pair),
//! so that a kernel reads it front to back. Outputs are filled up to whole panels, inputs to whole blocks of AMX, by zeros.

use std::ops::Range;

use rayon::prelude::*;

use super::amx::{self, TileProduct, Tiles};
use super::dot::{self, PairProduct};
use super::inputs::{Inputs, Rows, padded};
use super::isa::{Bf16, Isa};
use super::memory::{Aligned, NoMemory, Weightroom, with_scratch};
use super::packing::{self, panels_of};
use super::vector::{self, Format, Product, UNIT};
use crate::model::Dtype;
use crate::model::numbers::Numbers;

/// Outputs of a panel.
pub const PANEL: usize = 32;

/// Bytes of a panel that are gone through with all rows of a step before the next: so much of it stays in the fastest cache,
/// beside as much of the rows where tiles take both.
const CHUNK: usize = 24 << 10;
const TILES_CHUNK: usize = 18 << 10;
/// Bytes of rows that a job keeps coming back to with panel after panel: half of a second cache.
const ROWS_KEPT: usize = 1 << 20;
/// Rows of a job whose rows are longer than that, and the panels that it goes through with a part of them.
const LONG_ROWS: usize = 160;
const LONG_PANELS: usize = 8;
/// Rows of which a block of the result is written at once, while it is in the fastest cache.
const ROWS_WRITTEN: usize = 64;

/// A part of a product.
pub struct Block<'a> {
    /// The first row.
    pub row: usize,
    /// The first output.
    pub column: usize,
    /// Outputs.
    pub width: usize,
    /// `[rows, width]`.
    pub sums: &'a mut [f32],
}

/// How a product is divided: a job takes some rows and panels, and computes fewer of both at once.
struct Plan {
    rows: usize,
    panels: usize,
    rows_at_once: usize,
    panels_at_once: usize,
}

/// A packed matrix.
pub struct Matrix {
    isa: Isa,
    format: Format,
    panels: Aligned<u8>,
    /// Panels of 32 outputs.
    count: usize,
    /// With those that fill up the last block.
    inputs: usize,
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

    fn panel_bytes(&self) -> usize {
        self.panels.len() / self.count.max(1)
    }

    /// Multiplies `rows` by the matrix: `write` gets blocks of the result, each once, from several threads. Blocks are
    /// `together` panels wide, which divides their number, and hold the sums as they are.
    pub fn multiply(&self, rows: &Rows, together: usize, write: impl Fn(&mut Block<'_>) + Sync) {
        if rows.count == 0 || self.count == 0 {
            return;
        }
        let plan = self.plan(rows, together);
        let blocks = rows.count.div_ceil(plan.rows);
        let runs = self.count.div_ceil(plan.panels);
        (0..blocks * runs).into_par_iter().for_each(|job| {
            // Neighbouring jobs share panels, which come from memory, rather than rows, which don't.
            let (first_row, first_panel) = (job % blocks * plan.rows, job / blocks * plan.panels);
            let last_row = rows.count.min(first_row + plan.rows);
            let last_panel = self.count.min(first_panel + plan.panels);
            let width = together * PANEL;
            let padded = plan.rows_at_once.next_multiple_of(2 * amx::ROWS);
            let tiles = match (&rows.inputs, self.isa.bf16) {
                (Inputs::Bf16(_), Bf16::Amx) => Tiles::set_up(),
                _ => None,
            };
            with_scratch(padded * plan.panels_at_once * PANEL, |sums| {
                for panel in (first_panel..last_panel).step_by(plan.panels_at_once) {
                    for row in (first_row..last_row).step_by(plan.rows_at_once) {
                        let count = plan.rows_at_once.min(last_row - row);
                        let panels = plan.panels_at_once.min(last_panel - panel);
                        // While these are computed, a share of the panels after them is on its way.
                        let bytes = self.panel_bytes();
                        let next = (panel + panels) * bytes;
                        let after = (next + panels * bytes).min(last_panel * bytes) - next;
                        let steps = (last_row - first_row).div_ceil(plan.rows_at_once);
                        let step = (row - first_row) / plan.rows_at_once;
                        let ahead = next + after * step / steps..next + after * (step + 1) / steps;
                        let of = (row..row + count, panel..panel + panels);
                        let ahead = &self.panels[ahead];
                        self.sums(tiles.as_ref(), rows, of, together, padded * width, ahead, sums);
                        let groups = sums.chunks_exact_mut(padded * width).take(panels.div_ceil(together));
                        for (group, sums) in groups.enumerate() {
                            let column = (panel + group * together) * PANEL;
                            write(&mut Block { row, column, width, sums: &mut sums[..count * width] });
                        }
                    }
                }
            });
        });
    }

    /// How the work is divided.
    fn plan(&self, rows: &Rows, together: usize) -> Plan {
        let size = match rows.inputs {
            Inputs::Single(_) => size_of::<f32>(),
            Inputs::Bf16(_) => size_of::<u16>(),
        };
        let step = if self.isa.bf16 == Bf16::Amx { 2 * amx::ROWS } else { 14 };
        let most = ROWS_KEPT / (self.inputs * size).max(1);
        let is_long = most < LONG_ROWS && rows.count > step;
        // Even shares, of as many rows as a kernel takes at best.
        let most = if is_long { LONG_ROWS } else { most.max(step) };
        let block = rows.count.div_ceil(rows.count.div_ceil(most)).next_multiple_of(step);
        let blocks = rows.count.div_ceil(block);
        let wanted = (16 * rayon::current_num_threads()).div_ceil(blocks);
        let run = (self.count / wanted).max(1).next_multiple_of(together);
        match is_long {
            true => {
                let run = run.min(LONG_PANELS.next_multiple_of(together));
                Plan { rows: block, panels: run, rows_at_once: block, panels_at_once: run }
            }
            false => Plan {
                rows: block,
                panels: run,
                rows_at_once: block.min(ROWS_WRITTEN.next_multiple_of(step)),
                panels_at_once: together,
            },
        }
    }

    /// The sums of some rows and panels, `[groups of panels][rows, together * 32]`, groups `of_group` numbers apart; `ahead` is
    /// needed next.
    #[allow(clippy::too_many_arguments, reason = "one product's operands")]
    fn sums(
        &self,
        tiles: Option<&Tiles>,
        rows: &Rows,
        (of, panels): (Range<usize>, Range<usize>),
        together: usize,
        of_group: usize,
        ahead: &[u8],
        sums: &mut [f32],
    ) {
        let ldc = together * PANEL;
        let (row, count) = (of.start, of.len());
        let size = self.panel_bytes() / self.inputs;
        // Few rows leave the caches to the panel.
        let chunk = if tiles.is_some() && count > 2 * amx::ROWS { TILES_CHUNK } else { CHUNK };
        let at_once = chunk / size / amx::BLOCK * amx::BLOCK;
        let steps = count.div_ceil(2 * amx::ROWS) * panels.len() * self.inputs.div_ceil(at_once);
        let mut ahead = ahead.chunks(ahead.len().div_ceil(steps).next_multiple_of(64).max(64));
        for k in (0..self.inputs).step_by(at_once) {
            let terms = at_once.min(self.inputs - k);
            for (place, panel) in panels.clone().enumerate() {
                let b = self.panels[panel * self.panel_bytes() + k * size..].as_ptr();
                let c = sums[place / together * of_group + place % together * PANEL..].as_mut_ptr();
                let first = k == 0;
                match &rows.inputs {
                    Inputs::Single(a) => {
                        let pairs = self.format == Format::Bf16Pairs;
                        let product = Product {
                            a: a[row * rows.stride + k..].as_ptr(),
                            lda: rows.stride,
                            b,
                            b_row: if pairs { 2 * size } else { size },
                            b_unit: if pairs { 4 * UNIT } else { size / PANEL * UNIT },
                            k: if pairs { terms / 2 } else { terms },
                            c,
                            ldc,
                            first,
                        };
                        // SAFETY: `count` rows from `row` on are in `a`, `terms` numbers from `k` on in each and in the
                        // panel, and `sums` holds `count` rows of `ldc`; the processor has what `isa` says.
                        unsafe {
                            vector::multiply(self.isa.vector, self.format, product, count, PANEL / UNIT)
                        };
                    }
                    Inputs::Bf16(a) => {
                        let (a, lda) = (a[row * rows.stride + k..].as_ptr(), rows.stride);
                        let b = b.cast();
                        match tiles {
                            None => {
                                let product = PairProduct { a, lda, b, pairs: terms / 2, c, ldc, first };
                                // SAFETY: as above, in pairs.
                                unsafe { dot::multiply(product, count) };
                            }
                            Some(tiles) => {
                                let blocks = terms / amx::BLOCK;
                                let mut at = 0;
                                while at < count {
                                    prefetch(ahead.next().unwrap_or_default());
                                    // SAFETY: as above; rows are filled up to whole pairs of tiles in `a` and in `sums`.
                                    unsafe {
                                        let (a, c) = (a.add(at * lda), c.add(at * ldc));
                                        let product = TileProduct {
                                            a,
                                            lda,
                                            a_step: amx::BLOCK,
                                            b,
                                            blocks,
                                            c,
                                            ldc,
                                            first,
                                        };
                                        match count - at <= amx::ROWS {
                                            true => tiles.product_of_16(&product),
                                            false => tiles.product_of_32(&product),
                                        }
                                    }
                                    at += 2 * amx::ROWS;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Has the processor bring memory to its second cache.
fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint, to memory that is there.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// Place of a number in a panel of pairs.
pub fn pair_place(k: usize, column: usize) -> usize {
    (k / 2 * PANEL + column) * 2 + k % 2
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::model::cpu::memory::Table;

    /// Numbers between -1 and 1 with few bits, so that every format holds them.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 56) as f32 - 127.5) / 128.0
            })
            .collect()
    }

    fn stored(dtype: Dtype, numbers: &[f32]) -> Numbers {
        match dtype {
            Dtype::F32 => Numbers::F32(numbers.to_vec()),
            Dtype::Bf16 => Numbers::Bf16(numbers.iter().map(|&x| bf16::from_f32(x)).collect()),
            Dtype::F16 => Numbers::F16(numbers.iter().map(|&x| f16::from_f32(x)).collect()),
        }
    }

    fn rows(isa: Isa, matrix: &Matrix, a: &[f32], inputs: usize) -> Rows {
        let count = a.len() / inputs;
        let mut rows = Rows::zeros(isa, matrix.format(), count, inputs).unwrap();
        let stride = rows.stride;
        for (row, a) in a.chunks(inputs).enumerate() {
            match &mut rows.inputs {
                Inputs::Single(to) => to[row * stride..][..inputs].copy_from_slice(a),
                Inputs::Bf16(to) => {
                    for (to, x) in to[row * stride..].iter_mut().zip(a) {
                        *to = bf16::from_f32(*x).to_bits();
                    }
                }
            }
        }
        rows
    }

    fn product(isa: Isa, matrix: &Matrix, a: &[f32], inputs: usize) -> Vec<f32> {
        let rows = rows(isa, matrix, a, inputs);
        let mut c = vec![f32::NAN; rows.count * matrix.width()];
        let table = Table::new(&mut c, matrix.width());
        matrix.multiply(&rows, 1, |block| {
            for (i, sums) in block.sums.chunks(block.width).enumerate() {
                // SAFETY: each piece is written once.
                unsafe { table.part(block.row + i, block.column, block.width) }.copy_from_slice(sums);
            }
        });
        c
    }

    fn isas() -> Vec<Isa> {
        let ways = |vector| Isa::bf16(vector).into_iter().map(move |bf16| Isa { vector, bf16 });
        Isa::vectors().into_iter().flat_map(ways).collect()
    }

    #[test]
    fn products_are_right_and_a_row_has_its_bits_in_any_company() {
        for (outputs, inputs) in [(1, 1), (40, 70), (96, 1024), (64, 2500)] {
            let w: Vec<f32> =
                numbers(outputs * inputs, 1).iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
            let a: Vec<f32> = numbers(37 * inputs, 2).iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
            for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
                let mut bits: Option<Vec<u32>> = None;
                for isa in isas() {
                    let matrix = Matrix::pack(isa, &[(stored(dtype, &w), outputs)], inputs, false).unwrap();
                    let c = product(isa, &matrix, &a, inputs);
                    for (row, c) in c.chunks(matrix.width()).enumerate() {
                        for (out, &found) in c.iter().enumerate() {
                            let terms = (0..inputs)
                                .filter(|_| out < outputs)
                                .map(|k| f64::from(a[row * inputs + k]) * f64::from(w[out * inputs + k]));
                            let expected: f64 = terms.sum();
                            assert!(
                                (f64::from(found) - expected).abs() < 2e-7 * (inputs as f64 + 10.0),
                                "{isa:?} {dtype:?} {outputs}x{inputs}: {found}, expected {expected}"
                            );
                        }
                        let alone = product(isa, &matrix, &a[row * inputs..][..inputs], inputs);
                        assert_eq!(alone, c, "{isa:?} {dtype:?}: row {row} alone");
                    }
                    let few = product(isa, &matrix, &a[3 * inputs..22 * inputs], inputs);
                    assert_eq!(few, c[3 * matrix.width()..22 * matrix.width()], "{isa:?} {dtype:?}");
                    // AMX sums in its own order; all others have the same bits.
                    if dtype != Dtype::Bf16 || isa.bf16 != Bf16::Amx {
                        let found: Vec<u32> = c.iter().map(|x| x.to_bits()).collect();
                        assert!(
                            bits.replace(found.clone()).is_none_or(|bits| bits == found),
                            "{isa:?} {dtype:?}"
                        );
                    }
                }
            }
        }
    }

    /// `tdpbf16ps` as the manual describes it, for one number of the result.
    fn tiled(a: &[f32], w: &[f32]) -> f32 {
        let block = |(a, w): (&[f32], &[f32])| {
            let sum = |parity: usize| {
                let terms = a.iter().zip(w).skip(parity).step_by(2);
                terms.fold(0.0f32, |sum, (a, w)| a.mul_add(*w, sum))
            };
            sum(0) + sum(1)
        };
        a.chunks(amx::BLOCK).zip(w.chunks(amx::BLOCK)).map(block).fold(0.0, |sum, block| sum + block)
    }

    #[test]
    fn tiles_sum_as_the_manual_says() {
        let isa = Isa { vector: Isa::best().vector, bf16: Bf16::Amx };
        if !amx::is_usable() {
            eprintln!("skipped: this processor has no AMX");
            return;
        }
        let (outputs, inputs) = (64, 1600);
        let (w, a) = (numbers(outputs * inputs, 5), numbers(50 * inputs, 6));
        let matrix = Matrix::pack(isa, &[(stored(Dtype::Bf16, &w), outputs)], inputs, false).unwrap();
        let c = product(isa, &matrix, &a, inputs);
        for (row, c) in c.chunks(outputs).enumerate() {
            for (out, found) in c.iter().enumerate() {
                let expected = tiled(&a[row * inputs..][..inputs], &w[out * inputs..][..inputs]);
                assert_eq!(found.to_bits(), expected.to_bits(), "row {row}, output {out}");
            }
        }
    }

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

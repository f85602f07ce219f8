//! Products of rows of activations with packed matrices: which kernel does a part.

use std::ops::Range;

use super::amx::{self, TileProduct, Tiles};
use super::dot::{self, PairProduct};
use super::inputs::{Inputs, Rows};
use super::isa::Bf16;
use super::matrix::{Matrix, PANEL, as_numbers};
use super::memory::{with_scratch, words};
use super::plan::Plan;
use super::split::{BLOCK_WORDS, FewRows, PARTS, multiply_few, split_panel};
use super::team;
use super::vector::{self, Format, Product, Second, UNIT};

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

/// What of a product is computed at once, and where its sums go: `[groups of panels][rows, together * 32]`.
struct Step<'a> {
    rows: Range<usize>,
    panels: Range<usize>,
    /// Panels of a group.
    together: usize,
    /// Numbers from group to group.
    of_group: usize,
    /// As in [`Plan`].
    at_a_time: usize,
    terms: usize,
    /// Of the panels that are needed next.
    ahead: &'a [u8],
}

/// A panel's part of a step: `terms` from `k` on.
struct Piece {
    rows: Range<usize>,
    k: usize,
    terms: usize,
    c: *mut f32,
    ldc: usize,
    /// Where the next panel is, if it is taken along.
    second: Option<Second>,
}

impl Matrix {
    /// Multiplies `rows` by the matrix: `write` gets blocks of the result, each once, from several threads. Blocks are
    /// `together` panels wide, which divides their number, and hold the sums as they are.
    pub fn multiply(&self, rows: &Rows, together: usize, write: impl Fn(&mut Block<'_>) + Sync) {
        if rows.count == 0 || self.count == 0 {
            return;
        }
        let plan = Plan::of(self, rows, together);
        let blocks = rows.count.div_ceil(plan.rows);
        let runs = self.count.div_ceil(plan.panels);
        team::for_each(blocks * runs, |job| {
            // Neighbouring jobs share panels, which come from memory, rather than rows, which don't.
            let (first_row, first_panel) = (job % blocks * plan.rows, job / blocks * plan.panels);
            let last_row = rows.count.min(first_row + plan.rows);
            let last_panel = self.count.min(first_panel + plan.panels);
            let width = together * PANEL;
            let padded = plan.rows_at_once.next_multiple_of(2 * amx::ROWS);
            let (tiles, words) = match (&rows.inputs, self.isa.bf16) {
                (Inputs::Bf16(_), Bf16::Amx) => (Tiles::set_up_for(rows.count), 0),
                (Inputs::Split(_), _) => {
                    // Few rows' panels are split block by block, in two places in turn.
                    let blocks = if rows.count <= amx::ROWS { 2 } else { plan.terms / amx::BLOCK };
                    (Tiles::set_up_for(rows.count), blocks * BLOCK_WORDS)
                }
                _ => (None, 0),
            };
            with_scratch(padded * plan.panels_at_once * PANEL + words, |scratch| {
                let (parts, sums) = scratch.split_at_mut(words);
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
                        let step = Step {
                            rows: row..row + count,
                            panels: panel..panel + panels,
                            together,
                            of_group: padded * width,
                            at_a_time: plan.panels_at_a_time,
                            terms: plan.terms,
                            ahead: &self.panels[ahead],
                        };
                        self.sums(tiles.as_ref(), rows, &step, parts, sums);
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

    /// The sums of some rows and panels; `parts` has room for a piece of a panel that is split.
    fn sums(&self, tiles: Option<&Tiles>, rows: &Rows, step: &Step<'_>, parts: &mut [f32], sums: &mut [f32]) {
        let (at_once, together, at_a_time) = (step.terms, step.together, step.at_a_time);
        let tiled_rows = step.rows.len().div_ceil(2 * amx::ROWS);
        let steps = tiled_rows * step.panels.len() * self.inputs.div_ceil(at_once);
        let size = step.ahead.len().div_ceil(steps).next_multiple_of(64).max(64);
        let mut ahead = step.ahead.chunks(size);
        for k in (0..self.inputs).step_by(at_once) {
            let terms = at_once.min(self.inputs - k);
            let place_of = |panel: usize| panel / together * step.of_group + panel % together * PANEL;
            for place in (0..step.panels.len()).step_by(at_a_time) {
                let size = self.panel_bytes() / self.inputs;
                let panels = &self.panels[(step.panels.start + place) * self.panel_bytes() + k * size..];
                let panel = &panels[..terms * size];
                let second = (at_a_time == 2 && place + 1 < step.panels.len())
                    .then(|| Second { b: self.panel_bytes(), c: place_of(place + 1) - place_of(place) });
                let c = sums[place_of(place)..].as_mut_ptr();
                let piece = Piece { rows: step.rows.clone(), k, terms, c, ldc: together * PANEL, second };
                match (&rows.inputs, tiles) {
                    (Inputs::Single(a), _) => self.vector_sums(a, rows.stride, panels, &piece),
                    (Inputs::Bf16(a), None) => {
                        let Piece { c, ldc, second, .. } = piece;
                        let a = a[piece.rows.start * rows.stride + k..].as_ptr();
                        let b = panels.as_ptr().cast();
                        let (lda, b_row, pairs) = (rows.stride, PANEL, terms / 2);
                        let product = PairProduct { a, lda, b, b_row, pairs, c, ldc, second, first: k == 0 };
                        // SAFETY: as in `vector_sums`, in pairs.
                        unsafe { dot::multiply(product, piece.rows.len()) };
                    }
                    (Inputs::Bf16(a), Some(tiles)) => {
                        let a = &a[piece.rows.start * rows.stride + k..];
                        let products = [Tiles::product_of_16, Tiles::product_of_32];
                        tile_sums(
                            tiles,
                            products,
                            (a, rows.stride, 1),
                            panel.as_ptr().cast(),
                            &piece,
                            &mut ahead,
                        );
                    }
                    (Inputs::Split(a), tiles) => {
                        let Some(tiles) = tiles else { unreachable!("rows are split for tiles") };
                        let a = &a[piece.rows.start * rows.stride + k * PARTS..];
                        let panel = as_numbers(panel);
                        if rows.count <= amx::ROWS {
                            let (a, lda, Piece { c, ldc, .. }) = (a.as_ptr(), rows.stride, piece);
                            let product = FewRows { a, lda, panel, c, ldc, first: k == 0 };
                            // SAFETY: as in `tile_sums`.
                            unsafe { multiply_few(self.isa.vector, tiles, &product, words(parts)) };
                            continue;
                        }
                        let parts = words(parts);
                        split_panel(self.isa.vector, panel, parts);
                        let products: [TileKernel; 2] = [Tiles::split_product_of_32; 2];
                        tile_sums(
                            tiles,
                            products,
                            (a, rows.stride, PARTS),
                            parts.as_ptr(),
                            &piece,
                            &mut ahead,
                        );
                    }
                }
            }
        }
    }

    /// Sums of single-precision rows `a`, by vectors; `panels` begin with the piece's.
    fn vector_sums(&self, a: &[f32], stride: usize, panels: &[u8], piece: &Piece) {
        let pairs = self.format == Format::Bf16Pairs;
        let size = self.panel_bytes() / self.inputs;
        let product = Product {
            a: a[piece.rows.start * stride + piece.k..].as_ptr(),
            lda: stride,
            b: panels.as_ptr(),
            b_row: if pairs { 2 * size } else { size },
            b_unit: if pairs { 4 * UNIT } else { size / PANEL * UNIT },
            k: if pairs { piece.terms / 2 } else { piece.terms },
            c: piece.c,
            ldc: piece.ldc,
            second: piece.second,
            first: piece.k == 0,
        };
        // SAFETY: the rows of `piece` are in `a`, `terms` numbers from `k` on in each and in the piece's panels, and there is room for
        // as many rows of `ldc` from `c` on; the processor has what `isa` says.
        unsafe { vector::multiply(self.isa.vector, self.format, product, piece.rows.len()) };
    }
}

type TileKernel = unsafe fn(&Tiles, &TileProduct);

/// Sums on tiles, by kernels for 16 and for 32 rows; rows are `stride` numbers apart, blocks of 32 terms `parts` times as many.
fn tile_sums<'b>(
    tiles: &Tiles,
    [of_16, of_32]: [TileKernel; 2],
    (a, stride, parts): (&[u16], usize, usize),
    b: *const u32,
    piece: &Piece,
    ahead: &mut impl Iterator<Item = &'b [u8]>,
) {
    let count = piece.rows.len();
    let blocks = piece.terms / amx::BLOCK;
    for at in (0..count).step_by(2 * amx::ROWS) {
        let ahead = ahead.next().unwrap_or_default();
        let most = amx::AHEAD[usize::from(parts == PARTS)];
        // SAFETY: the rows of `piece` are in `a`, the blocks in each and in `b`; rows are filled up to whole pairs of tiles in
        // `a` and from `c` on.
        unsafe {
            let product = TileProduct {
                a: a.as_ptr().add(at * stride),
                lda: stride,
                a_step: parts * amx::BLOCK,
                b,
                blocks,
                c: piece.c.add(at * piece.ldc),
                ldc: piece.ldc,
                first: piece.k == 0,
                ahead: ahead.as_ptr(),
                ahead_step: ahead.len().div_ceil(blocks).next_multiple_of(64).min(most),
            };
            match count - at <= amx::ROWS {
                true => of_16(tiles, &product),
                false => of_32(tiles, &product),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::model::Dtype;
    use crate::model::cpu::isa::Isa;
    use crate::model::cpu::memory::Table;
    use crate::model::cpu::split::split;
    use crate::model::cpu::testing::{numbers, stored};

    fn rows(isa: Isa, matrix: &Matrix, a: &[f32], inputs: usize) -> Rows {
        let mut rows = Rows::zeros(isa, matrix.format(), a.len() / inputs, inputs).unwrap();
        let places = rows.places();
        for (row, a) in a.chunks(inputs).enumerate() {
            // SAFETY: nobody else writes.
            unsafe { places.write(isa.vector, Dtype::Bf16, row, 0, a) };
        }
        rows
    }

    fn product(isa: Isa, matrix: &Matrix, a: &[f32], inputs: usize) -> Vec<f32> {
        product_in_blocks(isa, matrix, a, inputs, 1)
    }

    fn product_in_blocks(isa: Isa, matrix: &Matrix, a: &[f32], inputs: usize, together: usize) -> Vec<f32> {
        let rows = rows(isa, matrix, a, inputs);
        let mut c = vec![f32::NAN; rows.count * matrix.width()];
        let table = Table::new(&mut c, matrix.width());
        matrix.multiply(&rows, together, |block| {
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
            for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
                // Numbers that the format holds; in single precision of as many bits as that has.
                let held = |x: f32| if dtype == Dtype::F32 { x / 3.0 } else { bf16::from_f32(x).to_f32() };
                let w: Vec<f32> = numbers(outputs * inputs, 1).into_iter().map(held).collect();
                let a: Vec<f32> = numbers(37 * inputs, 2).into_iter().map(held).collect();
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
                    for count in [2, 3, 4, 5, 19] {
                        let few = product(isa, &matrix, &a[3 * inputs..][..count * inputs], inputs);
                        let expected = &c[3 * matrix.width()..][..count * matrix.width()];
                        assert_eq!(few, expected, "{isa:?} {dtype:?}: {count} rows");
                    }
                    // AMX sums in its own order; all others have the same bits.
                    if !isa.has_tiles_for(matrix.format()) {
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

    #[test]
    fn few_rows_of_many_panels_have_their_bits_in_blocks_of_one_panel_and_of_two() {
        let (outputs, inputs) = (32 * 210, 34);
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let held = |x: f32| bf16::from_f32(x).to_f32();
            let w: Vec<f32> = numbers(outputs * inputs, 3).into_iter().map(held).collect();
            let a: Vec<f32> = numbers(30 * inputs, 4).into_iter().map(held).collect();
            for isa in isas() {
                let matrix = Matrix::pack(isa, &[(stored(dtype, &w), outputs)], inputs, false).unwrap();
                let all = product(isa, &matrix, &a, inputs);
                for (count, together) in (1..=5).flat_map(|count| [(count, 1), (count, 2)]) {
                    let few = product_in_blocks(isa, &matrix, &a[..count * inputs], inputs, together);
                    assert_eq!(few, all[..count * outputs], "{isa:?} {dtype:?}: {count} rows, {together}");
                }
            }
        }
    }

    /// `tdpbf16ps` as the manual describes it, for one number of the result, on top of a sum.
    fn tiled(a: &[f32], w: &[f32], sum: f32) -> f32 {
        let block = |(a, w): (&[f32], &[f32])| {
            let sum = |parity: usize| {
                let terms = a.iter().zip(w).skip(parity).step_by(2);
                terms.fold(0.0f32, |sum, (a, w)| a.mul_add(*w, sum))
            };
            sum(0) + sum(1)
        };
        a.chunks(amx::BLOCK).zip(w.chunks(amx::BLOCK)).map(block).fold(sum, |sum, block| sum + block)
    }

    /// The same of numbers in three parts.
    fn tiled_in_parts(a: &[f32], w: &[f32]) -> f32 {
        let [h, m, l] = [0, 1, 2];
        let part = |numbers: &[f32], part: usize| -> Vec<f32> {
            numbers.iter().map(|x| bf16::from_bits(split(*x)[part]).to_f32()).collect()
        };
        let block = |sum, (a, w): (&[f32], &[f32])| {
            let products = [(l, h), (m, h), (m, m), (h, m), (h, l), (h, h)];
            products.into_iter().fold(sum, |sum, (of_a, of_w)| tiled(&part(a, of_a), &part(w, of_w), sum))
        };
        a.chunks(amx::BLOCK).zip(w.chunks(amx::BLOCK)).fold(0.0, block)
    }

    #[test]
    fn tiles_sum_as_the_manual_says() {
        let isa = Isa { vector: Isa::best().vector, bf16: Bf16::Amx };
        if !amx::is_usable() {
            eprintln!("skipped: this processor has no AMX");
            return;
        }
        let (outputs, inputs) = (64, 1600);
        for dtype in [Dtype::Bf16, Dtype::F32] {
            let full = |x: f32| if dtype == Dtype::F32 { x / 3.0 } else { x };
            let w: Vec<f32> = numbers(outputs * inputs, 5).into_iter().map(full).collect();
            let a: Vec<f32> = numbers(50 * inputs, 6).into_iter().map(full).collect();
            let matrix = Matrix::pack(isa, &[(stored(dtype, &w), outputs)], inputs, false).unwrap();
            let c = product(isa, &matrix, &a, inputs);
            for (row, c) in c.chunks(outputs).enumerate() {
                for (out, found) in c.iter().enumerate() {
                    let (a, w) = (&a[row * inputs..][..inputs], &w[out * inputs..][..inputs]);
                    let expected = if dtype == Dtype::F32 { tiled_in_parts(a, w) } else { tiled(a, w, 0.0) };
                    assert_eq!(found.to_bits(), expected.to_bits(), "{dtype}, row {row}, output {out}");
                }
            }
        }
    }
}

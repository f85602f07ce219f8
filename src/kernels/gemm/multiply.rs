//! Products of activations and packed matrices: the loops around the kernel.

use super::activations::{GemmInput, Numbers};
use super::args::{GemmArgs, Panel, SecondPanel};
use super::blocking::{Blocking, Shape};
use super::kernel::{Kernel, Microkernel};
use super::packed_matrix::PackedMatrix;
use crate::kernels::dtype::Dtype;
use crate::kernels::layout::{LANES, NR, TILE_K, TILE_M};
use crate::kernels::memory::{BlockMut, Table, with_scratch, words};
use crate::kernels::team;
use crate::kernels::tiles::Tiles;

/// A computed block of a product, before the epilogue.
pub struct Sums<'a> {
    /// Its first row in the product.
    row: usize,
    /// Its first column in the product.
    pub column: usize,
    /// Its number of columns.
    pub width: usize,
    /// `[rows][width]`.
    pub numbers: &'a mut [f32],
}

/// Processes a block of a product and writes it to its destination.
type Epilogue<'e> = &'e (dyn Fn(&Sums<'_>, &mut BlockMut<'_>) + Sync);

impl PackedMatrix {
    /// Multiplies rows by the matrix. `epilogue` is called once for each block of the product, concurrently,
    /// with the block and the same block of `to`: rows of `stride` elements, of which the first `columns` are
    /// written.
    pub fn multiply_into(
        &self,
        a: &GemmInput,
        to: &mut [f32],
        (stride, columns): (usize, usize),
        epilogue: Epilogue<'_>,
    ) {
        let table = Table::new(to, stride);
        self.multiply(a, 1, &|sums| {
            let rows = sums.numbers.len() / sums.width;
            let columns = sums.width.min(columns - sums.column);
            // SAFETY: a product computes each of its blocks once.
            let mut to =
                unsafe { table.block(sums.row..sums.row + rows, sums.column..sums.column + columns) };
            epilogue(&sums, &mut to);
        });
    }

    /// Multiplies rows by the matrix and folds each pair of neighbouring panels of the product into one panel
    /// of `to`, of which the first `columns` elements are written. `fold` is called once for each block of
    /// two panels, concurrently, and leaves the results, rounded to `dtype`, in the first panel.
    pub fn multiply_folded(
        &self,
        a: &GemmInput,
        to: &mut GemmInput,
        dtype: Dtype,
        columns: usize,
        fold: &(dyn Fn(&mut Sums<'_>) + Sync),
    ) {
        let writer = to.writer();
        self.multiply(a, 2, &|mut sums| {
            fold(&mut sums);
            let column = sums.column / 2;
            let count = NR.min(columns - column);
            for (row, numbers) in sums.numbers.chunks_exact(sums.width).enumerate() {
                // SAFETY: a product computes each of its blocks once.
                unsafe { writer.write(self.isa.vector, dtype, sums.row + row, column, &numbers[..count]) };
            }
        });
    }

    /// Multiplies rows by the matrix: `write` is called once for each block of the product, `group` panels
    /// wide, concurrently.
    fn multiply(&self, a: &GemmInput, group: usize, write: &(dyn Fn(Sums<'_>) + Sync)) {
        if a.count == 0 || self.count == 0 {
            return;
        }
        match (&a.numbers, &self.kernel) {
            (Numbers::F32(numbers), Kernel::F32(kernel)) => {
                self.loops(kernel, numbers, (a, TILE_K), group, write)
            }
            (Numbers::Bf16(numbers), Kernel::Bf16(kernel)) => {
                self.loops(kernel, numbers, (a, TILE_K), group, write);
            }
            (Numbers::Bf16x3(numbers), Kernel::Bf16x3(kernel)) => {
                self.loops(kernel, numbers, (a, 3 * TILE_K), group, write);
            }
            _ => unreachable!("all rows of a network are for one kernel"),
        }
    }

    /// `a_block`: elements of a block of 32 terms of a row.
    fn loops<A: Copy + Sync>(
        &self,
        kernel: &Microkernel<A>,
        numbers: &[A],
        (a, a_block): (&GemmInput, usize),
        group: usize,
        write: &(dyn Fn(Sums<'_>) + Sync),
    ) {
        let a_row_bytes = self.k / TILE_K * a_block * size_of::<A>();
        let shape = Shape { m: a.count, k: self.k, a_row_bytes, panels: self.count, group };
        let blocking = Blocking::of(kernel, shape, rayon::current_num_threads());
        let Blocking { mc, nc, rows_per_step, panels_per_step, .. } = blocking;
        let row_blocks = a.count.div_ceil(mc);
        // Loops 5 and 3: neighbouring jobs share panels, which come from memory, rather than rows, which don't.
        team::for_each(row_blocks * self.count.div_ceil(nc), |job| {
            let rows = job % row_blocks * mc..a.count.min((job % row_blocks + 1) * mc);
            let panels = job / row_blocks * nc..self.count.min((job / row_blocks + 1) * nc);
            let tiles = (kernel.set_up)(a.count);
            let padded = rows_per_step.next_multiple_of(2 * TILE_M);
            let width = group * NR;
            let unpacked = (kernel.scratch)(a.count.min(mc), blocking.kc);
            with_scratch(padded * panels_per_step * NR + unpacked, |scratch| {
                let (unpacked, sums) = scratch.split_at_mut(unpacked);
                let mut work = Work {
                    matrix: self,
                    kernel,
                    blocking: &blocking,
                    tiles: tiles.as_ref(),
                    a: numbers,
                    lda: a.stride,
                    a_block,
                    group,
                    group_len: padded * width,
                    unpacked: words(unpacked),
                };
                for panel in panels.clone().step_by(panels_per_step) {
                    for row in rows.clone().step_by(rows_per_step) {
                        let count = rows_per_step.min(rows.end - row);
                        let at_hand = panel..(panel + panels_per_step).min(panels.end);
                        let prefetch = self.next_panels(
                            &at_hand,
                            panels.end,
                            (row - rows.start, rows.len()),
                            rows_per_step,
                        );
                        work.compute(row..row + count, at_hand.clone(), prefetch, sums);
                        let groups =
                            sums.chunks_exact_mut(padded * width).take(at_hand.len().div_ceil(group));
                        for (number, sums) in groups.enumerate() {
                            let column = (panel + number * group) * NR;
                            write(Sums { row, column, width, numbers: &mut sums[..count * width] });
                        }
                    }
                }
            });
        });
    }

    /// The part of the panels after those `at_hand` to prefetch during the step of rows that begins at `row`
    /// of `rows`.
    fn next_panels(
        &self,
        at_hand: &std::ops::Range<usize>,
        last: usize,
        (row, rows): (usize, usize),
        rows_per_step: usize,
    ) -> &[u8] {
        let bytes = self.panel_bytes();
        let next = at_hand.end * bytes;
        let after = (next + at_hand.len() * bytes).min(last * bytes) - next;
        let steps = rows.div_ceil(rows_per_step);
        let step = row / rows_per_step;
        &self.panels()[next + after * step / steps..next + after * (step + 1) / steps]
    }
}

/// A thread's part of a product.
struct Work<'w, A> {
    matrix: &'w PackedMatrix,
    kernel: &'w Microkernel<A>,
    blocking: &'w Blocking,
    tiles: Option<&'w Tiles>,
    /// Rows of A, `lda` elements apart, with `a_block` elements for 32 terms.
    a: &'w [A],
    lda: usize,
    a_block: usize,
    /// Panels that the epilogue takes at a time, and the elements of `sums` for this many.
    group: usize,
    group_len: usize,
    /// Scratch memory in which the kernel unpacks panels.
    unpacked: &'w mut [u32],
}

impl<A> Work<'_, A> {
    /// Computes some rows and panels: `sums` is `[groups of panels][rows][group * NR]`.
    fn compute(
        &mut self,
        rows: std::ops::Range<usize>,
        panels: std::ops::Range<usize>,
        prefetch: &[u8],
        sums: &mut [f32],
    ) {
        let Blocking { kc, panels_per_call, .. } = *self.blocking;
        let k = self.matrix.k;
        let calls = panels.len().div_ceil(panels_per_call) * k.div_ceil(kc);
        let mut prefetch = prefetch.chunks(prefetch.len().div_ceil(calls).next_multiple_of(64).max(64));
        let ldc = self.group * NR;
        // Index at which the sums of a panel begin.
        let c_of = |panel: usize| panel / self.group * self.group_len + panel % self.group * NR;
        // Loop 4.
        for p in (0..k).step_by(kc) {
            let terms = kc.min(k - p);
            // Loop 2; loop 1 is the kernel's.
            for panel in (0..panels.len()).step_by(panels_per_call) {
                let is_two = panels_per_call == 2 && panel + 1 < panels.len();
                let c = c_of(panel);
                let second =
                    is_two.then(|| SecondPanel { b: self.matrix.panel_bytes(), c: c_of(panel + 1) - c });
                (self.kernel.multiply)(&mut GemmArgs {
                    m: rows.len(),
                    k: terms,
                    a: &self.a[rows.start * self.lda + p / TILE_K * self.a_block..],
                    lda: self.lda,
                    a_block: self.a_block,
                    b: panel_of(self.matrix, panels.start + panel, p),
                    second,
                    c: &mut sums[c..],
                    ldc,
                    accumulate: p > 0,
                    tiles: self.tiles,
                    scratch: self.unpacked,
                    prefetch: prefetch.next().unwrap_or_default(),
                });
            }
        }
    }
}

/// A panel of a matrix, from term `p` on.
fn panel_of(matrix: &PackedMatrix, panel: usize, p: usize) -> Panel<'_> {
    let format = matrix.format;
    let bytes = &matrix.panels()[panel * matrix.panel_bytes() + format.bytes(p * NR)..];
    let row = format.panel_row();
    Panel { bytes, row, half: row / (NR / LANES) }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::kernels::elementwise::store;
    use crate::kernels::gemm::bf16x3::split;
    use crate::kernels::isa::Isa;
    use crate::kernels::testing::{bytes, numbers};

    fn pack(isa: Isa, dtype: Dtype, weights: &[f32], inputs: usize) -> PackedMatrix {
        let parts = [(bytes(dtype, weights), weights.len() / inputs)];
        PackedMatrix::pack(isa, dtype, &parts, inputs, false).unwrap()
    }

    fn input(isa: Isa, matrix: &PackedMatrix, a: &[f32], inputs: usize) -> GemmInput {
        let mut rows = GemmInput::zeros(matrix.kernel(), a.len() / inputs, inputs).unwrap();
        rows.write_rows(isa.vector, Dtype::Bf16, inputs, |row, to| {
            to.copy_from_slice(&a[row * inputs..][..inputs]);
        });
        rows
    }

    fn product(isa: Isa, matrix: &PackedMatrix, a: &[f32], inputs: usize) -> Vec<f32> {
        let rows = input(isa, matrix, a, inputs);
        let width = matrix.width();
        let mut c = vec![f32::NAN; rows.count * width];
        matrix.multiply_into(&rows, &mut c, (width, width), &|sums, to| {
            store(isa.vector, Dtype::F32, sums.numbers, sums.width, None, to);
        });
        c
    }

    /// The same in groups of panels.
    fn product_in_groups(
        isa: Isa,
        matrix: &PackedMatrix,
        a: &[f32],
        inputs: usize,
        group: usize,
    ) -> Vec<f32> {
        let rows = input(isa, matrix, a, inputs);
        let mut c = vec![f32::NAN; rows.count * matrix.width()];
        let table = Table::new(&mut c, matrix.width());
        matrix.multiply(&rows, group, &|sums| {
            let count = sums.numbers.len() / sums.width;
            // SAFETY: each block is written once.
            let mut to =
                unsafe { table.block(sums.row..sums.row + count, sums.column..sums.column + sums.width) };
            store(isa.vector, Dtype::F32, sums.numbers, sums.width, None, &mut to);
        });
        c
    }

    /// Whether a product sums in the order of tiles, not in that of all other kernels.
    fn is_tiled(isa: Isa, dtype: Dtype) -> bool {
        isa.has_tiles() && dtype != Dtype::F16
    }

    #[test]
    fn products_are_right_and_a_row_has_its_bits_in_any_company() {
        for (outputs, inputs) in [(1, 1), (40, 70), (96, 1024), (64, 2500)] {
            for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
                // Values that the format represents exactly; in single precision, values that use all its
                // bits.
                let held = |x: f32| if dtype == Dtype::F32 { x / 3.0 } else { bf16::from_f32(x).to_f32() };
                let w: Vec<f32> = numbers(outputs * inputs, 1).into_iter().map(held).collect();
                let a: Vec<f32> = numbers(37 * inputs, 2).into_iter().map(held).collect();
                let mut bits: Option<Vec<u32>> = None;
                for isa in Isa::all() {
                    let matrix = pack(isa, dtype, &w, inputs);
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
                    // AMX sums in its own order; all others give bitwise identical results.
                    if !is_tiled(isa, dtype) {
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
            for isa in Isa::all() {
                let matrix = pack(isa, dtype, &w, inputs);
                let all = product(isa, &matrix, &a, inputs);
                for (count, group) in (1..=5).flat_map(|count| [(count, 1), (count, 2)]) {
                    let few = product_in_groups(isa, &matrix, &a[..count * inputs], inputs, group);
                    assert_eq!(few, all[..count * outputs], "{isa:?} {dtype:?}: {count} rows, {group}");
                }
            }
        }
    }

    /// `tdpbf16ps` as the manual describes it, for one element of the result, added to `sum`.
    fn tiled(a: &[f32], w: &[f32], sum: f32) -> f32 {
        let block = |(a, w): (&[f32], &[f32])| {
            let sum = |parity: usize| {
                let terms = a.iter().zip(w).skip(parity).step_by(2);
                terms.fold(0.0f32, |sum, (a, w)| a.mul_add(*w, sum))
            };
            sum(0) + sum(1)
        };
        a.chunks(TILE_K).zip(w.chunks(TILE_K)).map(block).fold(sum, |sum, block| sum + block)
    }

    /// The same for numbers in three parts.
    fn tiled_in_parts(a: &[f32], w: &[f32]) -> f32 {
        let [h, m, l] = [0, 1, 2];
        let part = |numbers: &[f32], part: usize| -> Vec<f32> {
            numbers.iter().map(|x| bf16::from_bits(split(*x)[part]).to_f32()).collect()
        };
        let block = |sum, (a, w): (&[f32], &[f32])| {
            let products = [(l, h), (m, h), (m, m), (h, m), (h, l), (h, h)];
            products.into_iter().fold(sum, |sum, (of_a, of_w)| tiled(&part(a, of_a), &part(w, of_w), sum))
        };
        a.chunks(TILE_K).zip(w.chunks(TILE_K)).fold(0.0, block)
    }

    #[test]
    fn tiles_sum_as_the_manual_says() {
        let Some(isa) = Isa::all().into_iter().find(|isa| isa.has_tiles()) else {
            eprintln!("skipped: this processor has no AVX-512 with bfloat16 to go with tiles");
            return;
        };
        let (outputs, inputs) = (64, 1600);
        for dtype in [Dtype::Bf16, Dtype::F32] {
            let full = |x: f32| if dtype == Dtype::F32 { x / 3.0 } else { x };
            let w: Vec<f32> = numbers(outputs * inputs, 5).into_iter().map(full).collect();
            let a: Vec<f32> = numbers(50 * inputs, 6).into_iter().map(full).collect();
            let matrix = pack(isa, dtype, &w, inputs);
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

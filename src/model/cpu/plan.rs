//! How a product of rows with a packed matrix is divided: into jobs for threads, and their parts for caches and kernels.

use super::amx;
use super::inputs::{Inputs, Rows};
use super::isa::Bf16;
use super::matrix::Matrix;
use super::split::PARTS;
use super::vector::{self, FEW_ROWS, Format};

/// Bytes of a panel that are gone through with all rows of a step before the next: so much of it stays in the fastest cache,
/// beside as much of the rows where tiles take both. Kernels that take all rows at once don't need it to.
const CHUNK: usize = 24 << 10;
const TILES_CHUNK: usize = 18 << 10;
/// Terms of a panel that is split for tiles, for many rows and for few: its parts stay in the second cache, or the first.
const SPLIT_TERMS: usize = 640;
const SPLIT_TERMS_OF_FEW: usize = 128;
/// Bytes of rows that a job keeps coming back to with panel after panel: half of a second cache.
const ROWS_KEPT: usize = 1 << 20;
/// Rows of a job whose rows are longer than that, and the panels that it goes through with a part of them.
const LONG_ROWS: usize = 256;
const LONG_ROWS_IN_PARTS: usize = 160;
const LONG_PANELS: usize = 8;
/// Rows of which a block of the result is written at once, while it is in the fastest cache.
const ROWS_WRITTEN: usize = 64;

/// How a product is divided: a job takes some rows and panels, and computes fewer of both at once.
pub struct Plan {
    pub rows: usize,
    pub panels: usize,
    pub rows_at_once: usize,
    pub panels_at_once: usize,
    /// Panels that a kernel takes.
    pub panels_at_a_time: usize,
    /// Terms that are gone through with all rows and panels before the next.
    pub terms: usize,
}

impl Plan {
    /// How `rows` are multiplied by `matrix` in blocks `together` panels wide.
    pub fn of(matrix: &Matrix, rows: &Rows, together: usize) -> Self {
        let (size, is_split) = match rows.inputs {
            Inputs::Single(_) => (size_of::<f32>(), false),
            Inputs::Bf16(_) => (size_of::<u16>(), false),
            Inputs::Split(_) => (PARTS * size_of::<u16>(), true),
        };
        let step = if matrix.isa.bf16 == Bf16::Amx { 2 * amx::ROWS } else { 14 };
        let most = ROWS_KEPT / (matrix.inputs * size).max(1);
        let long_rows = if is_split { LONG_ROWS_IN_PARTS } else { LONG_ROWS };
        let is_long = most < long_rows && rows.count > step;
        // Even shares, of as many rows as a kernel takes at best.
        let most = if is_long { long_rows } else { most.max(step) };
        let block = rows.count.div_ceil(rows.count.div_ceil(most)).next_multiple_of(step);
        let blocks = rows.count.div_ceil(block);
        let wanted = (16 * rayon::current_num_threads()).div_ceil(blocks);
        let run = (matrix.count / wanted).max(1).next_multiple_of(together);
        let size_of_term = matrix.panel_bytes() / matrix.inputs.max(1);
        let terms = match (is_split, matrix.isa.bf16 == Bf16::Amx && block > 2 * amx::ROWS) {
            // Even shares again.
            (true, true) => matrix.inputs.div_ceil(matrix.inputs.div_ceil(SPLIT_TERMS)),
            (true, false) if rows.count <= amx::ROWS => matrix.inputs,
            (true, false) => SPLIT_TERMS_OF_FEW,
            // Few rows leave the caches to the panel.
            (false, true) if matrix.format != Format::F16 => {
                TILES_CHUNK / size_of_term / amx::BLOCK * amx::BLOCK
            }
            (false, _) => CHUNK / size_of_term / amx::BLOCK * amx::BLOCK,
        };
        let terms = terms.next_multiple_of(amx::BLOCK);
        let takes_two = takes_two(matrix, rows);
        let (panels, rows_at_once, panels_at_once, terms) = match (takes_two, is_long) {
            // From front to back: the rows stay in the fastest cache.
            (true, _) => {
                let at_once = 2usize.next_multiple_of(together);
                (run.next_multiple_of(at_once), block, at_once, matrix.inputs)
            }
            (false, true) => {
                let run = run.min(LONG_PANELS.next_multiple_of(together));
                (run, block, run, terms)
            }
            (false, false) => {
                // A panel is split once for all rows of a job.
                let written = if is_split { block } else { ROWS_WRITTEN.next_multiple_of(step) };
                (run, block.min(written), together, terms)
            }
        };
        let panels_at_a_time = if takes_two { 2 } else { 1 };
        Self { rows: block, panels, rows_at_once, panels_at_once, panels_at_a_time, terms }
    }
}

/// Whether kernels take two panels at a time: those that can, where jobs twice as large are still enough for all threads.
fn takes_two(matrix: &Matrix, rows: &Rows) -> bool {
    let by_tiles = match rows.inputs {
        Inputs::Single(_) => false,
        Inputs::Bf16(_) => matrix.isa.bf16 == Bf16::Amx,
        Inputs::Split(_) => true,
    };
    let is_enough = matrix.count >= 8 * rayon::current_num_threads();
    rows.count <= FEW_ROWS && is_enough && !by_tiles && vector::takes_two(matrix.isa.vector)
}

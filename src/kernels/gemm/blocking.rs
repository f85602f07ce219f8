//! Blocking of a product: jobs for threads, and blocks for caches and kernels.
//!
//! The sizes have BLIS's names. A job is a block of `MC` rows and `NC` columns of C (loops 5 and 3, shared by
//! all threads). Within a job some rows and panels are computed at a time, over `KC` terms before the next
//! (loop 4): panels (loop 2) by steps of rows (loop 1).

use super::kernel::Microkernel;
use crate::kernels::layout::TILE_K;

/// Bytes of A that a job reuses for panel after panel: half of a second-level cache.
const A_BYTES: usize = 1 << 20;
/// Panels of a job whose rows are too long for [`A_BYTES`]: it computes them with a part of the terms at a time.
const LONG_PANELS: usize = 8;
/// Rows of a block of C that is written while it is in the first-level cache.
const ROWS_WRITTEN: usize = 64;

/// A product's size.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rows of A.
    pub m: usize,
    /// Terms of a sum, and the bytes of a row of A.
    pub k: usize,
    pub a_row_bytes: usize,
    /// Panels of B.
    pub panels: usize,
    /// Panels that the epilogue takes at a time, a divisor of their number.
    pub group: usize,
}

/// The block sizes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocking {
    /// Rows of a job (MC).
    pub mc: usize,
    /// Panels of a job (NC, in columns `nc * NR`).
    pub nc: usize,
    /// Terms that are summed for `rows_per_step` and `panels_per_step` before the next (KC).
    pub kc: usize,
    /// Rows and panels that are computed before their results are written.
    pub rows_per_step: usize,
    pub panels_per_step: usize,
    /// Panels per kernel call: one or two.
    pub panels_per_call: usize,
}

impl Blocking {
    /// For a kernel, on `threads` threads.
    pub fn of<A>(kernel: &Microkernel<A>, shape: Shape, threads: usize) -> Self {
        let Shape { m, k, a_row_bytes, panels, group } = shape;
        let mr = kernel.mr;
        let most = A_BYTES / a_row_bytes.max(1);
        let is_long = most < kernel.mc_long && m > mr;
        // Even shares, in whole multiples of the kernel's `MR`.
        let most = if is_long { kernel.mc_long } else { most.max(mr) };
        let mc = m.div_ceil(m.div_ceil(most)).next_multiple_of(mr);
        let blocks = m.div_ceil(mc);
        // Enough jobs for all threads to finish at about the same time.
        let wanted = (16 * threads).div_ceil(blocks);
        let nc = (panels / wanted).max(1).next_multiple_of(group);
        // Jobs of at least two panels must still be enough for all threads.
        if m <= kernel.two_panels_mr && panels >= 8 * threads {
            // All terms at once: so few rows fit in the first-level cache.
            let panels_per_step = 2usize.next_multiple_of(group);
            let nc = nc.next_multiple_of(panels_per_step);
            return Self { mc, nc, kc: k, rows_per_step: mc, panels_per_step, panels_per_call: 2 };
        }
        let kc = (kernel.kc)(mc.min(m), k).next_multiple_of(TILE_K);
        let (nc, rows_per_step, panels_per_step) = if is_long {
            let nc = nc.min(LONG_PANELS.next_multiple_of(group));
            (nc, mc, nc)
        } else if kernel.unpacks_b {
            // A panel is unpacked once for all rows of a job.
            (nc, mc, group)
        } else {
            (nc, mc.min(ROWS_WRITTEN.next_multiple_of(mr)), group)
        };
        Self { mc, nc, kc, rows_per_step, panels_per_step, panels_per_call: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::simd::{PanelFormat, kernel};
    use crate::kernels::isa::Vector;

    fn blocking(m: usize, k: usize, panels: usize, group: usize) -> Blocking {
        let kernel = kernel(Vector::Portable, PanelFormat::F32);
        let kernel = Microkernel { mr: 14, two_panels_mr: 4, ..kernel };
        Blocking::of(&kernel, Shape { m, k, a_row_bytes: 4 * k, panels, group }, 2)
    }

    #[test]
    fn blocks_are_whole_steps_and_groups() {
        for (m, k, panels, group) in [
            (1, 576, 300, 1),
            (4, 576, 301, 1),
            (5, 576, 96, 2),
            (1024, 576, 96, 2),
            (1024, 14_336, 128, 1),
            (3, 64, 2, 2),
        ] {
            let found = blocking(m, k, panels, group);
            assert!(found.mc.is_multiple_of(14) && found.mc * m.div_ceil(found.mc) >= m, "{found:?}");
            assert!(
                found.nc.is_multiple_of(group) && found.panels_per_step.is_multiple_of(group),
                "{found:?}"
            );
            assert!(found.rows_per_step <= found.mc && found.kc >= 32.min(k), "{found:?}");
            assert_eq!(found.panels_per_call, if m <= 4 && panels >= 16 { 2 } else { 1 });
        }
        // Rows that are too long for a second-level cache are taken in parts, for more panels at a time.
        assert_eq!(blocking(1024, 14_336, 128, 1).panels_per_step, blocking(1024, 14_336, 128, 1).nc);
    }
}

//! The interface of GEMM kernels, and a kernel as a value that is chosen at run time.
//!
//! Terms are those of BLIS (<https://github.com/flame/blis/blob/master/docs/KernelsHowTo.md>): `C = A B`,
//! where A is the rows of activations, `[m][k]`, and B the weights, `[k][n]`, packed in panels of `NR`
//! columns.

use super::args::GemmArgs;
use crate::kernels::layout::NR;
use crate::kernels::tiles::Tiles;

/// A kernel: products of some rows of A with one packed panel of B, or two.
///
/// An element of C is a sum over `k` in one fixed order, whatever `m` is and however `k` is split: its bits
/// depend on its own row and column alone.
pub trait GemmKernel {
    /// Elements of A: `f32`, or `u16` for the bits of bfloat16.
    type A: Copy + 'static;
    /// Rows of C whose sums are held in registers.
    const MR: usize;
    /// Columns of C whose sums are held in registers; a panel is computed this many columns at a time.
    const NR: usize = NR;
    /// Terms of a panel that all rows of a block are multiplied by before the next: they stay in the
    /// first-level cache.
    const KC: usize;
    /// Rows of a job if rows are too long for many of them to stay in the second-level cache.
    const MC_LONG: usize = 256;
    /// Maximum of rows for which the kernel takes two panels at once; 0 if it never does. More independent
    /// sums hide the latency of each, and weights come from memory in two streams.
    const TWO_PANELS_MR: usize = 0;
    /// Whether each call unpacks the panel to scratch memory, which pays off for many rows.
    const UNPACKS_B: bool = false;

    /// Terms of a panel to take at a time for a block of `m` rows of `k` terms.
    fn kc(m: usize, k: usize) -> usize {
        let _ = (m, k);
        Self::KC
    }

    /// Words of scratch memory that a call with `m` rows and `kc` terms needs.
    fn scratch(m: usize, kc: usize) -> usize {
        let _ = (m, kc);
        0
    }

    /// The tiles that a job of `m` rows needs.
    fn set_up(m: usize) -> Option<Tiles> {
        let _ = m;
        None
    }

    /// Computes `args.c`.
    fn multiply(args: &mut GemmArgs<'_, Self::A>);
}

/// A kernel as a value: the constants and functions of a [`GemmKernel`].
#[derive(Clone, Copy)]
pub struct Microkernel<A> {
    pub mr: usize,
    pub mc_long: usize,
    pub two_panels_mr: usize,
    pub unpacks_b: bool,
    pub kc: fn(usize, usize) -> usize,
    pub scratch: fn(usize, usize) -> usize,
    pub set_up: fn(usize) -> Option<Tiles>,
    pub multiply: fn(&mut GemmArgs<'_, A>),
}

impl<A> Microkernel<A> {
    /// The value of a kernel type.
    pub const fn of<K: GemmKernel<A = A>>() -> Self {
        Self {
            mr: K::MR,
            mc_long: K::MC_LONG,
            two_panels_mr: K::TWO_PANELS_MR,
            unpacks_b: K::UNPACKS_B,
            kc: K::kc,
            scratch: K::scratch,
            set_up: K::set_up,
            multiply: K::multiply,
        }
    }
}

/// A kernel, by the format of A that it takes.
#[derive(Clone, Copy)]
pub enum Kernel {
    F32(Microkernel<f32>),
    Bf16(Microkernel<u16>),
    /// Single precision in three bfloat16 parts, see [`bf16x3`](super::bf16x3).
    Bf16x3(Microkernel<u16>),
}

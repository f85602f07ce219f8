//! AMX tiles in software, for tests on processors without them: everything but the instructions themselves is
//! tested.

use super::args::GemmArgs;
use super::bf16x3::PARTS;
use crate::kernels::layout::{NR, TILE_K, TILE_M};
use crate::kernels::tiles::Tiles;

/// A block of a panel: 16 pairs of terms, 32 columns.
const BLOCK: usize = TILE_K / 2 * NR;

/// Products of parts of A and B, in the order in which kernels add them: low, middle and high are parts 2, 1 and 0.
const PRODUCTS: [(usize, usize); 6] = [(2, 0), (1, 0), (1, 1), (0, 1), (0, 2), (0, 0)];

/// Flushes subnormals to zero: numbers below 2^-126 count as zero, in operands and results.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0 * x } else { x }
}

fn widened(bits: u16) -> f32 {
    flushed(f32::from_bits(u32::from(bits) << 16))
}

/// `tdpbf16ps`: adds a block of 32 terms to rows of sums. The order is that of the Intel 64 and IA-32
/// Architectures Software Developer's Manual: products of even and of odd terms are summed separately, each
/// from zero by fused operations, then added, and their sum is added to the tile's.
///
/// # Safety
/// `sums.len()` rows of `a`, `lda` elements apart, and a block of `b` can be read.
unsafe fn add_block(sums: &mut [[f32; NR]], a: *const u16, lda: usize, b: *const u32) {
    for (row, sums) in sums.iter_mut().enumerate() {
        for (column, sum) in sums.iter_mut().enumerate() {
            let mut halves = [0.0f32; 2];
            for pair in 0..TILE_K / 2 {
                // SAFETY: the caller's guarantee.
                let (a, b) = unsafe { (a.add(row * lda + 2 * pair), *b.add(pair * NR + column)) };
                for (odd, half) in halves.iter_mut().enumerate() {
                    // SAFETY: as above.
                    let a = widened(unsafe { *a.add(odd) });
                    *half = flushed(a.mul_add(widened((b >> (16 * odd)) as u16), *half));
                }
            }
            *sum = flushed(*sum + flushed(halves[0] + halves[1]));
        }
    }
}

/// [`add_block`] for numbers in `parts` parts.
///
/// # Safety
/// As [`add_block`], for all parts.
unsafe fn add_parts(sums: &mut [[f32; NR]], parts: usize, a: *const u16, lda: usize, b: *const u32) {
    // SAFETY: the caller's guarantee.
    unsafe {
        match parts {
            PARTS => PRODUCTS
                .into_iter()
                .for_each(|(of_a, of_b)| add_block(sums, a.add(of_a * TILE_K), lda, b.add(of_b * BLOCK))),
            _ => add_block(sums, a, lda, b),
        }
    }
}

/// Computes `rows` rows of C, from `row` on.
///
/// # Safety
/// These rows and the panel lie within the operands.
pub unsafe fn multiply(args: &mut GemmArgs<'_, u16>, row: usize, rows: usize, parts: usize) {
    // SAFETY: the caller's guarantee.
    unsafe {
        let c = args.c.as_mut_ptr().add(row * args.ldc);
        let mut sums = vec![[0.0; NR]; rows];
        for (row, sums) in sums.iter_mut().enumerate().filter(|_| args.accumulate) {
            *sums = *c.add(row * args.ldc).cast();
        }
        for block in 0..args.k / TILE_K {
            let a = args.a.as_ptr().add(row * args.lda + block * args.a_block);
            let b = args.b.bytes.as_ptr().cast::<u32>().add(block * parts * BLOCK);
            add_parts(&mut sums, parts, a, args.lda, b);
        }
        for (row, sums) in sums.iter().enumerate() {
            *c.add(row * args.ldc).cast() = *sums;
        }
    }
}

/// Sets the emulated tiles to the sums of up to 16 rows, or to zeros.
///
/// # Safety
/// `c` can be read.
pub unsafe fn begin(tiles: &Tiles, c: *const f32, ldc: usize, accumulate: bool) {
    let Some(emulated) = tiles.emulation() else { unreachable!("asked for emulated tiles alone") };
    let mut sums = [[0.0; NR]; TILE_M];
    for (row, sums) in sums.iter_mut().enumerate().take(tiles.rows()).filter(|_| accumulate) {
        // SAFETY: the caller's guarantee.
        *sums = unsafe { *c.add(row * ldc).cast() };
    }
    emulated.replace(sums);
}

/// Adds a block of numbers in three parts to the emulated tiles.
///
/// # Safety
/// As [`add_parts`].
pub unsafe fn add(tiles: &Tiles, a: *const u16, lda: usize, b: *const u32) {
    let Some(emulated) = tiles.emulation() else { unreachable!("asked for emulated tiles alone") };
    // SAFETY: the caller's guarantee.
    unsafe { add_parts(&mut emulated.borrow_mut()[..tiles.rows()], PARTS, a, lda, b) };
}

/// Writes the sums of the emulated tiles.
///
/// # Safety
/// `c` can be written.
pub unsafe fn end(tiles: &Tiles, c: *mut f32, ldc: usize) {
    let Some(emulated) = tiles.emulation() else { unreachable!("asked for emulated tiles alone") };
    for (row, sums) in emulated.borrow().iter().enumerate().take(tiles.rows()) {
        // SAFETY: the caller's guarantee.
        unsafe { *c.add(row * ldc).cast() = *sums };
    }
}

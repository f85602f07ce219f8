//! Kernels on AMX tiles.
//!
//! `tdpbf16ps` sums the products of even and of odd terms of a block of 32 separately, each from zero and in
//! order, adds the two, and adds the result to the accumulator (Intel 64 and IA-32 Architectures Software
//! Developer's Manual, TDPBF16PS). Blocks are aligned in `k`, so a sum's bits depend on its own row and
//! column alone. Numbers below 2^-126 count as zero.
//!
//! Single-precision numbers come in three parts (see [`bf16x3`](super::bf16x3)): six products of parts per
//! block, those of small parts first, each summed and added as above.
//!
//! The instructions are written as assembly: the compiler's intrinsics for them are not stable yet.

use std::arch::asm;

use super::args::GemmArgs;
use super::bf16x3::PARTS;
#[cfg(all(test, target_os = "linux"))]
use super::emulation;
use super::kernel::GemmKernel;
use crate::kernels::layout::{NR, TILE_K, TILE_M};
use crate::kernels::tiles::Tiles;

/// Rows of two tiles.
const MR: usize = 2 * TILE_M;
/// Bytes of a packed panel that stay in the first-level cache besides as many of A.
const B_BYTES: usize = 18 << 10;
/// The same for few rows, which leave most of the cache to the panel.
const B_BYTES_OF_FEW: usize = 24 << 10;
/// Bytes of a block of a panel: 16 pairs of terms, 32 columns.
const B_BLOCK: usize = TILE_K * NR * 2;

/// bfloat16 rows with panels of pairs, `[k / 2][NR][2]`.
pub struct AmxBf16;

impl GemmKernel for AmxBf16 {
    type A = u16;
    const MR: usize = MR;
    const KC: usize = B_BYTES / (2 * NR) / TILE_K * TILE_K;

    fn kc(m: usize, _: usize) -> usize {
        if m > MR { Self::KC } else { B_BYTES_OF_FEW / (2 * NR) / TILE_K * TILE_K }
    }

    fn set_up(m: usize) -> Option<Tiles> {
        Tiles::set_up_for(m)
    }

    fn multiply(args: &mut GemmArgs<'_, u16>) {
        by_tiles(args, 1, |tiles, args, row, prefetch| {
            // SAFETY: `by_tiles` checks that these rows and the panel lie within the operands.
            unsafe {
                if args.m - row <= TILE_M {
                    multiply_16(tiles, args, row);
                } else {
                    multiply_32(tiles, args, row, prefetch);
                }
            }
        });
    }
}

/// Single-precision rows in three parts, `[k / 32][3][32]`, with panels already split,
/// `[k / 32][3][16][NR][2]`.
pub struct AmxBf16x3;

impl GemmKernel for AmxBf16x3 {
    type A = u16;
    const MR: usize = MR;
    const KC: usize = 640;
    const MC_LONG: usize = 160;

    fn set_up(m: usize) -> Option<Tiles> {
        Tiles::set_up_for(m)
    }

    fn multiply(args: &mut GemmArgs<'_, u16>) {
        by_tiles(args, PARTS, |tiles, args, row, prefetch| {
            // SAFETY: as above.
            unsafe { multiply_split_32(tiles, args, row, prefetch) };
        });
    }
}

/// Calls `multiply` for each 32 rows of C; elements of A and B have `parts` parts.
fn by_tiles(
    args: &mut GemmArgs<'_, u16>,
    parts: usize,
    multiply: impl Fn(&Tiles, &mut GemmArgs<'_, u16>, usize, Prefetch),
) {
    let Some(tiles) = args.tiles else { unreachable!("a job of this kernel sets up its tiles") };
    let blocks = args.k / TILE_K;
    // Rows of A and C are padded to whole tiles.
    let whole = (args.m - 1) / MR * MR;
    let rows = whole + if parts == 1 && args.m - whole <= TILE_M { tiles.rows() } else { MR };
    let a_row = (blocks - 1) * args.a_block + parts * TILE_K;
    args.assert_extents(rows, a_row, 1, 0);
    assert!(blocks * parts * B_BLOCK <= args.b.bytes.len(), "the panel has so many terms");
    let steps = args.m.div_ceil(MR);
    let size = args.prefetch.len().div_ceil(steps).next_multiple_of(64).max(64);
    let mut next = args.prefetch.chunks(size);
    for row in (0..args.m).step_by(MR) {
        let bytes = next.next().unwrap_or_default();
        let most = if parts == PARTS { 512 } else { 128 };
        let step = bytes.len().div_ceil(blocks).next_multiple_of(64).min(most);
        // With nothing to prefetch, an address that is loaded anyway.
        let start = if bytes.is_empty() { args.b.bytes.as_ptr() } else { bytes.as_ptr() };
        multiply(tiles, args, row, Prefetch { start, step });
    }
}

/// Where prefetching starts, and bytes to advance per block.
#[derive(Clone, Copy)]
struct Prefetch {
    start: *const u8,
    step: usize,
}

/// Computes 32 rows of C, from `row` on.
///
/// # Safety
/// 32 rows of `k` terms can be read from `a`, as many terms from `b`, and 32 rows of 32 columns written to `c`.
unsafe fn multiply_32(tiles: &Tiles, args: &mut GemmArgs<'_, u16>, row: usize, prefetch: Prefetch) {
    // SAFETY: the caller's guarantee.
    let p = unsafe { Pointers::at(args, row) };
    #[cfg(all(test, target_os = "linux"))]
    if tiles.emulation().is_some() {
        // SAFETY: as above.
        return unsafe { emulation::multiply(args, row, MR, 1) };
    }
    let _ = tiles;
    // SAFETY: the tiles are set up, as `tiles` proves; the caller guarantees the memory. Sums stay in tiles
    // from one block of assembly to the next, since the compiler itself never uses tiles.
    unsafe {
        let low = p.c.add(TILE_M * p.ldc);
        if args.accumulate {
            asm!(
                "tileloadd tmm0, [{c} + {ldc}*1]",
                "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                "tileloadd tmm2, [{low} + {ldc}*1]",
                "tileloadd tmm3, [{low} + {ldc}*1 + 64]",
                c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
                options(nostack, readonly),
            );
        } else {
            asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3");
        }
        asm!(
            "2:",
            "tileloadd tmm4, [{a} + {lda}*1]",
            "tileloadd tmm6, [{b} + {ldb}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {ldb}*1 + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a2} + {lda}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead}]",
            "prefetcht1 [{ahead} + 64]",
            "add {ahead}, {ahead_step}",
            "add {a}, {a_step}",
            "add {a2}, {a_step}",
            "add {b}, 2048",
            "dec {blocks}",
            "jnz 2b",
            "tilestored [{c} + {ldc}*1], tmm0",
            "tilestored [{c} + {ldc}*1 + 64], tmm1",
            "tilestored [{low} + {ldc}*1], tmm2",
            "tilestored [{low} + {ldc}*1 + 64], tmm3",
            a = inout(reg) p.a => _, a2 = inout(reg) p.a.add(TILE_M * p.lda) => _, lda = in(reg) 2 * p.lda,
            a_step = in(reg) 2 * p.a_block,
            b = inout(reg) p.b => _, ldb = in(reg) 128usize, blocks = inout(reg) p.blocks => _,
            c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
            ahead = inout(reg) prefetch.start => _, ahead_step = in(reg) prefetch.step,
            options(nostack),
        );
    }
}

/// Computes 16 rows of C, or fewer where the tiles are set up for fewer.
///
/// # Safety
/// As [`multiply_32`].
unsafe fn multiply_16(tiles: &Tiles, args: &mut GemmArgs<'_, u16>, row: usize) {
    // SAFETY: the caller's guarantee.
    let p = unsafe { Pointers::at(args, row) };
    #[cfg(all(test, target_os = "linux"))]
    if tiles.emulation().is_some() {
        // SAFETY: as above.
        return unsafe { emulation::multiply(args, row, tiles.rows(), 1) };
    }
    let _ = tiles;
    // SAFETY: as in `multiply_32`.
    unsafe {
        if args.accumulate {
            asm!(
                "tileloadd tmm0, [{c} + {ldc}*1]",
                "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                c = in(reg) p.c, ldc = in(reg) 4 * p.ldc,
                options(nostack, readonly),
            );
        } else {
            asm!("tilezero tmm0", "tilezero tmm1");
        }
        asm!(
            "2:",
            "tileloadd tmm4, [{a} + {lda}*1]",
            "tileloadd tmm6, [{b} + {ldb}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {ldb}*1 + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {a}, {a_step}",
            // With so few rows only memory limits the speed: prefetch four blocks ahead.
            ".set at, 8192",
            ".rept 32",
            "prefetcht1 [{b} + at]",
            ".set at, at + 64",
            ".endr",
            "add {b}, 2048",
            "dec {blocks}",
            "jnz 2b",
            "tilestored [{c} + {ldc}*1], tmm0",
            "tilestored [{c} + {ldc}*1 + 64], tmm1",
            a = inout(reg) p.a => _, lda = in(reg) 2 * p.lda,
            a_step = in(reg) 2 * p.a_block,
            b = inout(reg) p.b => _, ldb = in(reg) 128usize, blocks = inout(reg) p.blocks => _,
            c = in(reg) p.c, ldc = in(reg) 4 * p.ldc,
            options(nostack),
        );
    }
}

/// Computes 32 rows of C from numbers in three parts. Letters name the parts of A and B: high, middle, low.
///
/// # Safety
/// As [`multiply_32`].
unsafe fn multiply_split_32(tiles: &Tiles, args: &mut GemmArgs<'_, u16>, row: usize, prefetch: Prefetch) {
    // SAFETY: the caller's guarantee.
    let p = unsafe { Pointers::at(args, row) };
    #[cfg(all(test, target_os = "linux"))]
    if tiles.emulation().is_some() {
        // SAFETY: as above.
        return unsafe { emulation::multiply(args, row, MR, PARTS) };
    }
    let _ = tiles;
    // SAFETY: as in `multiply_32`.
    unsafe {
        let low = p.c.add(TILE_M * p.ldc);
        if args.accumulate {
            asm!(
                "tileloadd tmm0, [{c} + {ldc}*1]",
                "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                "tileloadd tmm2, [{low} + {ldc}*1]",
                "tileloadd tmm3, [{low} + {ldc}*1 + 64]",
                c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
                options(nostack, readonly),
            );
        } else {
            asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3");
        }
        asm!(
            "2:",
            // l h
            "tileloadd tmm4, [{a} + {lda}*1 + 128]",
            "tileloadd tmm6, [{b} + {ldb}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {ldb}*1 + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a2} + {lda}*1 + 128]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead}]",
            "prefetcht1 [{ahead} + 64]",
            // m h
            "tileloadd tmm4, [{a} + {lda}*1 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a2} + {lda}*1 + 64]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead} + 128]",
            "prefetcht1 [{ahead} + 192]",
            // m m
            "tileloadd tmm6, [{b} + {ldb}*1 + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{b} + {ldb}*1 + 2112]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead} + 256]",
            "prefetcht1 [{ahead} + 320]",
            // h m
            "tileloadd tmm4, [{a} + {lda}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a2} + {lda}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead} + 384]",
            "prefetcht1 [{ahead} + 448]",
            // h l
            "tileloadd tmm6, [{b} + {ldb}*1 + 4096]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{b} + {ldb}*1 + 4160]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            // h h
            "tileloadd tmm6, [{b} + {ldb}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{b} + {ldb}*1 + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {ahead}, {ahead_step}",
            "add {a}, {a_step}",
            "add {a2}, {a_step}",
            "add {b}, 6144",
            "dec {blocks}",
            "jnz 2b",
            "tilestored [{c} + {ldc}*1], tmm0",
            "tilestored [{c} + {ldc}*1 + 64], tmm1",
            "tilestored [{low} + {ldc}*1], tmm2",
            "tilestored [{low} + {ldc}*1 + 64], tmm3",
            a = inout(reg) p.a => _, a2 = inout(reg) p.a.add(TILE_M * p.lda) => _, lda = in(reg) 2 * p.lda,
            a_step = in(reg) 2 * p.a_block,
            b = inout(reg) p.b => _, ldb = in(reg) 128usize, blocks = inout(reg) p.blocks => _,
            c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
            ahead = inout(reg) prefetch.start => _, ahead_step = in(reg) prefetch.step,
            options(nostack),
        );
    }
}

/// Where the operands of some rows begin.
struct Pointers {
    a: *const u16,
    lda: usize,
    a_block: usize,
    b: *const u8,
    blocks: usize,
    c: *mut f32,
    ldc: usize,
}

impl Pointers {
    /// From `row` on.
    ///
    /// # Safety
    /// The row lies within A and C.
    unsafe fn at(args: &mut GemmArgs<'_, u16>, row: usize) -> Self {
        Self {
            // SAFETY: the caller's guarantee.
            a: unsafe { args.a.as_ptr().add(row * args.lda) },
            lda: args.lda,
            a_block: args.a_block,
            b: args.b.bytes.as_ptr(),
            blocks: args.k / TILE_K,
            // SAFETY: as above.
            c: unsafe { args.c.as_mut_ptr().add(row * args.ldc) },
            ldc: args.ldc,
        }
    }
}

//! The AMX kernel for single precision: panels are split into three bfloat16 parts as they are multiplied.

use std::arch::asm;

use super::amx::AmxBf16x3;
use super::args::{GemmArgs, Panel};
use super::bf16x3::{BLOCK_WORDS, PARTS, split_block_avx512, split_panel};
#[cfg(all(test, target_os = "linux"))]
use super::emulation;
use super::kernel::GemmKernel;
use crate::kernels::isa::Vector;
use crate::kernels::layout::{NR, TILE_K, TILE_M};
use crate::kernels::memory::{bytes_of_words, numbers_of};
use crate::kernels::tiles::Tiles;

/// Single-precision rows in three parts, `[k / 32][3][32]`, with single-precision panels, `[k][NR]`.
pub struct AmxF32;

impl GemmKernel for AmxF32 {
    type A = u16;
    const MR: usize = AmxBf16x3::MR;
    const KC: usize = AmxBf16x3::KC;
    const MC_LONG: usize = AmxBf16x3::MC_LONG;
    const UNPACKS_B: bool = true;

    fn kc(m: usize, k: usize) -> usize {
        if m <= TILE_M {
            // Each block is split while the previous one is multiplied.
            k
        } else if m <= Self::MR {
            128
        } else {
            // Even shares of `k` whose parts stay in the second-level cache.
            k.div_ceil(k.div_ceil(Self::KC))
        }
    }

    fn scratch(m: usize, kc: usize) -> usize {
        // The last step of many rows may have few rows, which takes two blocks.
        let blocks = if m <= TILE_M { 2 } else { (kc / TILE_K).max(2) };
        blocks * BLOCK_WORDS
    }

    fn set_up(m: usize) -> Option<Tiles> {
        Tiles::set_up_for(m)
    }

    fn multiply(args: &mut GemmArgs<'_, u16>) {
        let panel = numbers_of(&args.b.bytes[..args.k * args.b.row]);
        if args.m <= TILE_M {
            return multiply_few(args, panel);
        }
        let (words, rest) = std::mem::take(&mut args.scratch).split_at_mut(args.k / TILE_K * BLOCK_WORDS);
        split_panel(Vector::Avx512, panel, words);
        let b = Panel { bytes: bytes_of_words(words), ..args.b };
        let GemmArgs { m, k, a, lda, a_block, ldc, accumulate, tiles, prefetch, .. } = *args;
        let c = &mut *args.c;
        let second = None;
        AmxBf16x3::multiply(&mut GemmArgs {
            m,
            k,
            a,
            lda,
            a_block,
            b,
            second,
            c,
            ldc,
            accumulate,
            tiles,
            scratch: rest,
            prefetch,
        });
    }
}

/// Splits a panel block by block while tiles multiply the previous block by up to 16 rows.
fn multiply_few(args: &mut GemmArgs<'_, u16>, panel: &[f32]) {
    let Some(tiles) = args.tiles else { unreachable!("a job of this kernel sets up its tiles") };
    let blocks = args.k / TILE_K;
    args.assert_extents(
        tiles.rows(),
        (blocks - 1) * args.a_block + PARTS * TILE_K,
        args.k,
        size_of::<f32>() * NR / 2,
    );
    let [first, second, ..] = args.scratch.as_chunks_mut().0 else {
        unreachable!("there is room for two blocks")
    };
    let (a, lda, a_block) = (args.a.as_ptr(), args.lda, args.a_block);
    let (c, ldc, accumulate) = (args.c.as_mut_ptr(), args.ldc, args.accumulate);
    // SAFETY: tiles are used only with AVX-512; rows of A and C lie within the operands, as just checked.
    unsafe { few(tiles, (a, lda, a_block), panel, (c, ldc, accumulate), [first, second]) };
}

/// # Safety
/// The processor has AVX-512. `a` and `c` have as many rows as the tiles, `a` with as many blocks as the
/// panel, `c` with 32 columns.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn few(
    tiles: &Tiles,
    (a, lda, a_block): (*const u16, usize, usize),
    panel: &[f32],
    (c, ldc, accumulate): (*mut f32, usize, bool),
    words: [&mut [u32; BLOCK_WORDS]; 2],
) {
    // Blocks are split into two buffers in turn.
    let [mut next, mut split] = words;
    let blocks: &[[f32; TILE_K * NR]] = panel.as_chunks().0;
    // SAFETY: the caller's guarantee; `words` hold a block each.
    unsafe {
        begin(tiles, c, ldc, accumulate);
        for (number, block) in blocks.iter().enumerate() {
            split_block_avx512(block, next);
            if number > 0 {
                add(tiles, a.add((number - 1) * a_block), lda, split.as_ptr());
            }
            (next, split) = (split, next);
        }
        if let Some(last) = blocks.len().checked_sub(1) {
            add(tiles, a.add(last * a_block), lda, split.as_ptr());
        }
        end(tiles, c, ldc);
    }
}

/// Sets two tiles to the sums of 16 rows, `ldc` elements apart, of 32 columns: to the content of `c` if they
/// `accumulate`, else to zero.
///
/// # Safety
/// `c` can be read.
#[inline(always)]
unsafe fn begin(tiles: &Tiles, c: *const f32, ldc: usize, accumulate: bool) {
    #[cfg(all(test, target_os = "linux"))]
    if tiles.emulation().is_some() {
        // SAFETY: as above.
        return unsafe { emulation::begin(tiles, c, ldc, accumulate) };
    }
    let _ = tiles;
    // SAFETY: as above; the tiles are set up, as `tiles` proves.
    unsafe {
        if accumulate {
            asm!(
                "tileloadd tmm0, [{c} + {ldc}*1]",
                "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                c = in(reg) c, ldc = in(reg) 4 * ldc,
                options(nostack, readonly),
            );
        } else {
            asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem));
        }
    }
}

/// Adds a block's products to the tiles: `a` is a block of rows in parts, `lda` elements apart, `b` a block
/// of a split panel.
///
/// # Safety
/// Both can be read.
#[inline(always)]
unsafe fn add(tiles: &Tiles, a: *const u16, lda: usize, b: *const u32) {
    #[cfg(all(test, target_os = "linux"))]
    if tiles.emulation().is_some() {
        // SAFETY: as above.
        return unsafe { emulation::add(tiles, a, lda, b) };
    }
    let _ = tiles;
    // SAFETY: as above.
    unsafe {
        asm!(
            // l h, m h
            "tileloadd tmm4, [{a} + {lda}*1 + 128]",
            "tileloadd tmm6, [{b} + {ldb}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {ldb}*1 + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a} + {lda}*1 + 64]",
            "tdpbf16ps tmm0, tmm5, tmm6",
            "tdpbf16ps tmm1, tmm5, tmm7",
            // m m, h m
            "tileloadd tmm2, [{b} + {ldb}*1 + 2048]",
            "tdpbf16ps tmm0, tmm5, tmm2",
            "tileloadd tmm3, [{b} + {ldb}*1 + 2112]",
            "tdpbf16ps tmm1, tmm5, tmm3",
            "tileloadd tmm4, [{a} + {lda}*1]",
            "tdpbf16ps tmm0, tmm4, tmm2",
            "tdpbf16ps tmm1, tmm4, tmm3",
            // h l, h h
            "tileloadd tmm2, [{b} + {ldb}*1 + 4096]",
            "tdpbf16ps tmm0, tmm4, tmm2",
            "tileloadd tmm3, [{b} + {ldb}*1 + 4160]",
            "tdpbf16ps tmm1, tmm4, tmm3",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            a = in(reg) a, lda = in(reg) 2 * lda, b = in(reg) b, ldb = in(reg) 128usize,
            options(nostack, readonly),
        );
    }
}

/// Writes the tiles to `c`.
///
/// # Safety
/// `c` can be written.
#[inline(always)]
unsafe fn end(tiles: &Tiles, c: *mut f32, ldc: usize) {
    #[cfg(all(test, target_os = "linux"))]
    if tiles.emulation().is_some() {
        // SAFETY: as above.
        return unsafe { emulation::end(tiles, c, ldc) };
    }
    let _ = tiles;
    // SAFETY: as above.
    unsafe {
        asm!(
            "tilestored [{c} + {ldc}*1], tmm0",
            "tilestored [{c} + {ldc}*1 + 64], tmm1",
            c = in(reg) c, ldc = in(reg) 4 * ldc,
            options(nostack),
        );
    }
}

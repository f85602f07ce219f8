//! Products of bfloat16 matrices on AMX tiles.
//!
//! `tdpbf16ps` sums the products of even and of odd `k` of a block of 32 apart, each from zero and in order, adds the two,
//! and adds that to the sum so far (Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS). Blocks are
//! aligned to `k`, so a sum's bits depend on its own row and column alone. Numbers below 2^-126 count as zero.
//!
//! Single-precision numbers come in three parts (see [`split`](super::split)): six products of parts a block, those of small
//! parts first, each summed and added as above.
//!
//! The instructions are written as assembly: the compiler's own intrinsics for them are not stable yet.

/// Terms of a sum that a tile holds.
pub const BLOCK: usize = 32;
/// Rows of a tile.
pub const ROWS: usize = 16;

/// A product of tiles: `c[row][column] = sum of a[row][k] * b[k][column]` over 32 columns.
#[derive(Clone, Copy)]
pub struct TileProduct {
    /// bfloat16, `lda` numbers from row to row.
    pub a: *const u16,
    pub lda: usize,
    /// From block to block.
    pub a_step: usize,
    /// A panel: pairs of `k`, 32 columns each.
    pub b: *const u32,
    /// Blocks of 32 terms, at least one.
    pub blocks: usize,
    /// `ldc` numbers from row to row.
    pub c: *mut f32,
    pub ldc: usize,
    /// Whether sums begin at zero, or go on from what `c` holds.
    pub first: bool,
    /// What is needed next, of which a block's turn brings [`AHEAD`] bytes to the second cache, and bytes to go on by from block
    /// to block; kernels for 32 rows only.
    pub ahead: *const u8,
    pub ahead_step: usize,
}

/// Bytes that are brought ahead in a block's turn, in products of bfloat16 and of split numbers.
pub const AHEAD: [usize; 2] = [128, 512];

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles {
    use std::arch::asm;
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    use super::{ROWS, TileProduct};

    /// Whether the processor has the tiles, and the kernel lets this process use them.
    pub fn is_usable() -> bool {
        static USABLE: OnceLock<bool> = OnceLock::new();
        *USABLE.get_or_init(|| {
            const TILES_AND_BF16: u32 = 1 << 24 | 1 << 22;
            /// `ARCH_REQ_XCOMP_PERM` and `XFEATURE_XTILEDATA` of Linux's `asm/prctl.h`: asked for once for all threads.
            const REQUEST: libc::c_long = 0x1023;
            const TILE_DATA: libc::c_long = 18;
            let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
            features & TILES_AND_BF16 == TILES_AND_BF16
                // SAFETY: the call reads and writes no memory of ours.
                && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) } == 0
        })
    }

    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_per_row: [u16; 16],
        rows: [u8; 16],
    }

    /// Tiles of this thread, set up until it is dropped; they cannot go to another one.
    pub struct Tiles(PhantomData<*const ()>);

    impl Tiles {
        /// For whole tiles of rows; `None` where there are none.
        pub fn set_up() -> Option<Self> {
            Self::set_up_for(ROWS)
        }

        /// For products of so many rows: where they are fewer than 16, the kernels for 16 rows read and write as many, and take less
        /// time for them.
        pub fn set_up_for(rows: usize) -> Option<Self> {
            if !is_usable() {
                return None;
            }
            let mut configuration = Configuration {
                palette: 1,
                start_row: 0,
                reserved: [0; 14],
                bytes_per_row: [0; 16],
                rows: [0; 16],
            };
            configuration.bytes_per_row[..8].fill(64);
            configuration.rows[..8].fill(ROWS as u8);
            // Sums, and rows; the others hold weights.
            for tile in [0, 1, 4, 5] {
                configuration.rows[tile] = rows.clamp(1, ROWS) as u8;
            }
            // SAFETY: the tiles are there, and the configuration is one of palette 1: 8 tiles of 16 rows of 64 bytes.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
            Some(Self(PhantomData))
        }

        /// Computes 32 rows.
        ///
        /// # Safety
        /// `p` describes memory of that size that may be read and, for `c`, written.
        pub unsafe fn product_of_32(&self, p: &TileProduct) {
            // SAFETY: the tiles are set up, as `self` shows; memory is the caller's promise. Sums stay in tiles from one
            // block of assembly to the next: the compiler itself never uses tiles.
            unsafe {
                let low = p.c.add(ROWS * p.ldc);
                match p.first {
                    true => asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"),
                    false => asm!(
                        "tileloadd tmm0, [{c} + {ldc}*1]",
                        "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                        "tileloadd tmm2, [{low} + {ldc}*1]",
                        "tileloadd tmm3, [{low} + {ldc}*1 + 64]",
                        c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
                        options(nostack, readonly),
                    ),
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
                    a = inout(reg) p.a => _, a2 = inout(reg) p.a.add(ROWS * p.lda) => _, lda = in(reg) 2 * p.lda,
                    a_step = in(reg) 2 * p.a_step,
                    b = inout(reg) p.b => _, ldb = in(reg) 128usize, blocks = inout(reg) p.blocks => _,
                    c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
                    ahead = inout(reg) p.ahead => _, ahead_step = in(reg) p.ahead_step,
                    options(nostack),
                );
            }
        }

        /// Computes 16 rows.
        ///
        /// # Safety
        /// As [`product_of_32`](Self::product_of_32).
        pub unsafe fn product_of_16(&self, p: &TileProduct) {
            // SAFETY: as above.
            unsafe {
                match p.first {
                    true => asm!("tilezero tmm0", "tilezero tmm1"),
                    false => asm!(
                        "tileloadd tmm0, [{c} + {ldc}*1]",
                        "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                        c = in(reg) p.c, ldc = in(reg) 4 * p.ldc,
                        options(nostack, readonly),
                    ),
                }
                asm!(
                    "2:",
                    "tileloadd tmm4, [{a} + {lda}*1]",
                    "tileloadd tmm6, [{b} + {ldb}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {ldb}*1 + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "add {a}, {a_step}",
                    // So few rows wait for memory alone: it is asked for what lies four blocks on.
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
                    a_step = in(reg) 2 * p.a_step,
                    b = inout(reg) p.b => _, ldb = in(reg) 128usize, blocks = inout(reg) p.blocks => _,
                    c = in(reg) p.c, ldc = in(reg) 4 * p.ldc,
                    options(nostack),
                );
            }
        }

        /// Computes 32 rows of single-precision numbers in parts: a row's blocks are `[3 parts][32]`, a panel's
        /// `[3 parts][16 pairs][32]`.
        ///
        /// # Safety
        /// As [`product_of_32`](Self::product_of_32).
        pub unsafe fn split_product_of_32(&self, p: &TileProduct) {
            // SAFETY: as above.
            unsafe {
                let low = p.c.add(ROWS * p.ldc);
                match p.first {
                    true => asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"),
                    false => asm!(
                        "tileloadd tmm0, [{c} + {ldc}*1]",
                        "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                        "tileloadd tmm2, [{low} + {ldc}*1]",
                        "tileloadd tmm3, [{low} + {ldc}*1 + 64]",
                        c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
                        options(nostack, readonly),
                    ),
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
                    a = inout(reg) p.a => _, a2 = inout(reg) p.a.add(ROWS * p.lda) => _, lda = in(reg) 2 * p.lda,
                    a_step = in(reg) 2 * p.a_step,
                    b = inout(reg) p.b => _, ldb = in(reg) 128usize, blocks = inout(reg) p.blocks => _,
                    c = in(reg) p.c, low = in(reg) low, ldc = in(reg) 4 * p.ldc,
                    ahead = inout(reg) p.ahead => _, ahead_step = in(reg) p.ahead_step,
                    options(nostack),
                );
            }
        }

        /// Sets two tiles to sums of 16 rows, `ldc` numbers apart, of 32 columns: zeros, or what `c` holds.
        ///
        /// # Safety
        /// `c` may be read.
        #[inline(always)]
        pub unsafe fn begin_16(&self, c: *const f32, ldc: usize, first: bool) {
            // SAFETY: as above.
            unsafe {
                match first {
                    true => asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem)),
                    false => asm!(
                        "tileloadd tmm0, [{c} + {ldc}*1]",
                        "tileloadd tmm1, [{c} + {ldc}*1 + 64]",
                        c = in(reg) c, ldc = in(reg) 4 * ldc,
                        options(nostack, readonly),
                    ),
                }
            }
        }

        /// Adds a block's products to them, of numbers in parts: `a` as in [`split_product_of_32`](Self::split_product_of_32),
        /// `lda` numbers from row to row, and `b` a block of a panel.
        ///
        /// # Safety
        /// Both may be read.
        #[inline(always)]
        pub unsafe fn add_split_16(&self, a: *const u16, lda: usize, b: *const u32) {
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

        /// Writes the sums.
        ///
        /// # Safety
        /// `c` may be written.
        #[inline(always)]
        pub unsafe fn end_16(&self, c: *mut f32, ldc: usize) {
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
    }

    impl Drop for Tiles {
        fn drop(&mut self) {
            // SAFETY: the tiles are set up; without this the system would save them at every switch of threads.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod tiles {
    use super::TileProduct;

    /// Only known how to ask for on Linux.
    pub fn is_usable() -> bool {
        false
    }

    /// Never there.
    pub enum Tiles {}

    impl Tiles {
        pub fn set_up() -> Option<Self> {
            None
        }

        pub fn set_up_for(_: usize) -> Option<Self> {
            None
        }

        /// # Safety
        /// Cannot be called.
        pub unsafe fn product_of_32(&self, _: &TileProduct) {
            match *self {}
        }

        /// # Safety
        /// Cannot be called.
        pub unsafe fn product_of_16(&self, _: &TileProduct) {
            match *self {}
        }

        /// # Safety
        /// Cannot be called.
        pub unsafe fn split_product_of_32(&self, _: &TileProduct) {
            match *self {}
        }

        /// # Safety
        /// Cannot be called.
        pub unsafe fn begin_16(&self, _: *const f32, _: usize, _: bool) {
            match *self {}
        }

        /// # Safety
        /// Cannot be called.
        pub unsafe fn add_split_16(&self, _: *const u16, _: usize, _: *const u32) {
            match *self {}
        }

        /// # Safety
        /// Cannot be called.
        pub unsafe fn end_16(&self, _: *mut f32, _: usize) {
            match *self {}
        }
    }
}

pub use tiles::{Tiles, is_usable};

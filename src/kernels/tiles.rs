//! The tile registers of AMX: detection, and set-up for a thread.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod hardware {
    use std::arch::asm;
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    use crate::kernels::layout::TILE_M;

    /// Whether the processor has tiles with bfloat16 products and the operating system lets this process use
    /// them.
    pub fn is_usable() -> bool {
        static USABLE: OnceLock<bool> = OnceLock::new();
        *USABLE.get_or_init(|| {
            const AMX_TILE_AND_BF16: u32 = 1 << 24 | 1 << 22;
            /// `ARCH_REQ_XCOMP_PERM` and `XFEATURE_XTILEDATA` of Linux's `asm/prctl.h`: requested once for
            /// all threads.
            const REQUEST: libc::c_long = 0x1023;
            const TILE_DATA: libc::c_long = 18;
            let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
            features & AMX_TILE_AND_BF16 == AMX_TILE_AND_BF16
                // SAFETY: the call reads and writes no memory of this process.
                && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) } == 0
        })
    }

    /// The sums in emulated tiles, 16 rows of 32 columns.
    #[cfg(test)]
    pub type Emulated = std::cell::RefCell<[[f32; crate::kernels::layout::NR]; TILE_M]>;

    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_per_row: [u16; 16],
        rows: [u8; 16],
    }

    /// The tiles of this thread, released on drop. Not `Send`: they belong to the thread.
    pub struct Tiles {
        /// Rows of tiles of A and C.
        rows: usize,
        #[cfg(test)]
        emulated: Option<Emulated>,
        of_thread: PhantomData<*const ()>,
    }

    impl Tiles {
        /// For products of whole tiles of rows; `None` without tiles.
        pub fn set_up() -> Option<Self> {
            Self::set_up_for(TILE_M)
        }

        /// For products of `m` rows. Below 16, the kernels for 16 rows read and write only `m` rows, which is
        /// faster.
        pub fn set_up_for(m: usize) -> Option<Self> {
            let rows = m.clamp(1, TILE_M);
            if !is_usable() {
                return Self::emulated(rows);
            }
            let mut configuration = Configuration {
                palette: 1,
                start_row: 0,
                reserved: [0; 14],
                bytes_per_row: [0; 16],
                rows: [0; 16],
            };
            configuration.bytes_per_row[..8].fill(64);
            configuration.rows[..8].fill(TILE_M as u8);
            // Tiles of C and A; the others hold B.
            for tile in [0, 1, 4, 5] {
                configuration.rows[tile] = rows as u8;
            }
            // SAFETY: the tiles are usable, and the configuration is valid for palette 1: 8 tiles of up to 16
            // rows of 64 bytes.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
            Some(Self {
                rows,
                #[cfg(test)]
                emulated: None,
                of_thread: PhantomData,
            })
        }

        /// Rows of A and C that a kernel for 16 rows reads and writes.
        pub fn rows(&self) -> usize {
            self.rows
        }

        #[cfg(not(test))]
        fn emulated(_: usize) -> Option<Self> {
            None
        }

        /// Tests emulate tiles where the processor has none.
        #[cfg(test)]
        fn emulated(rows: usize) -> Option<Self> {
            Some(Self { rows, emulated: Some(Default::default()), of_thread: PhantomData })
        }

        /// The emulated sums, if these tiles are emulated.
        #[cfg(test)]
        pub fn emulation(&self) -> Option<&Emulated> {
            self.emulated.as_ref()
        }
    }

    impl Drop for Tiles {
        fn drop(&mut self) {
            #[cfg(test)]
            if self.emulated.is_some() {
                return;
            }
            // SAFETY: the tiles are set up. Without this the system would save them at every context switch.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod hardware {
    /// We know how to request tiles on x86-64 Linux only.
    pub fn is_usable() -> bool {
        false
    }

    /// Never constructed.
    pub enum Tiles {}

    impl Tiles {
        pub fn set_up() -> Option<Self> {
            None
        }

        pub fn set_up_for(_: usize) -> Option<Self> {
            None
        }
    }
}

pub use hardware::{Tiles, is_usable};

//! What this processor can do, found out at run time.

use super::amx;
use super::vector::Format;
use crate::model::Dtype;

/// Vector instructions for products and rows. All give the same bits: every number is computed by the same fused
/// operations in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vector {
    /// 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256 bits, with fused multiplication and addition.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of plain loops.
    Portable,
}

/// How products of bfloat16 matrices are computed, and, where there are tiles, those of single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bf16 {
    /// Tiles, `tdpbf16ps`; single-precision numbers are split into three parts. It sums in another order, so its bits are its
    /// own.
    Amx,
    /// `vdpbf16ps`: the bits of `Widened`, but that numbers below 2^-126 count as zero.
    Dot,
    /// Widened to single precision as they are loaded.
    Widened,
}

/// The instructions to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa {
    pub vector: Vector,
    pub bf16: Bf16,
}

impl Isa {
    /// Whether products of matrices of this format are computed on tiles.
    pub fn has_tiles_for(self, format: Format) -> bool {
        self.bf16 == Bf16::Amx && format != Format::F16
    }

    /// The fastest that this processor has.
    pub fn best() -> Self {
        let vector = Self::vectors()[0];
        Self { vector, bf16: Self::bf16(vector)[0] }
    }

    /// All vectors that this processor has, the widest first.
    pub fn vectors() -> Vec<Vector> {
        let mut vectors = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("f16c");
            if avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                vectors.push(Vector::Avx512);
            }
            if avx2 {
                vectors.push(Vector::Avx2);
            }
        }
        vectors.push(Vector::Portable);
        vectors
    }

    /// All ways to bfloat16 products that go with `vector`, the fastest first.
    pub fn bf16(vector: Vector) -> Vec<Bf16> {
        let mut ways = Vec::new();
        #[cfg(target_arch = "x86_64")]
        if vector == Vector::Avx512 {
            // Attention on tiles rounds by the vectors' own conversions.
            if std::arch::is_x86_feature_detected!("avx512bf16") {
                if amx::is_usable() {
                    ways.push(Bf16::Amx);
                }
                ways.push(Bf16::Dot);
            }
        }
        ways.push(Bf16::Widened);
        ways
    }

    /// Name of the kernels for a model in this format.
    pub fn name(self, dtype: Dtype) -> &'static str {
        match (dtype, self.bf16, self.vector) {
            (Dtype::Bf16, Bf16::Amx, _) => "amx-bf16",
            (Dtype::F32, Bf16::Amx, _) => "amx-bf16x3",
            (Dtype::Bf16, Bf16::Dot, _) => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            (_, _, Vector::Avx512) => "avx512",
            #[cfg(target_arch = "x86_64")]
            (_, _, Vector::Avx2) => "avx2",
            (_, _, Vector::Portable) => "portable",
        }
    }
}

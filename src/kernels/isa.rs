//! The instruction sets of this processor, detected at run time.

use super::dtype::Dtype;
use super::tiles;

/// Vector width. All widths give bitwise identical results: every element is computed by the same fused
/// operations in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vector {
    /// 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256 bits, with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Plain loops, as the compiler vectorises them.
    Portable,
}

/// How products of bfloat16 matrices are computed and, with AMX tiles, those in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bf16Path {
    /// AMX tiles, `tdpbf16ps`; single-precision numbers are split into three parts. It sums in another order,
    /// so its results differ from those of the other paths.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// `vdpbf16ps`: bitwise the results of `Widened`, except that numbers below 2^-126 count as zero.
    #[cfg(target_arch = "x86_64")]
    Dot,
    /// Widened to single precision as they are loaded.
    Widened,
}

/// The instructions to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa {
    pub vector: Vector,
    pub bf16: Bf16Path,
}

impl Isa {
    /// The fastest instruction sets of this processor.
    pub fn best() -> Self {
        let vector = Self::vectors()[0];
        Self { vector, bf16: bf16_paths(vector, tiles::is_usable())[0] }
    }

    /// All vector widths of this processor, the widest first.
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

    /// All combinations that tests can run here. Tiles are emulated on a processor that has everything they
    /// require but not the tiles themselves.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let has_tiles = cfg!(all(target_arch = "x86_64", target_os = "linux"));
        let of = |vector| bf16_paths(vector, has_tiles).into_iter().map(move |bf16| Self { vector, bf16 });
        Self::vectors().into_iter().flat_map(of).collect()
    }

    /// Whether products are computed on AMX tiles.
    pub fn has_tiles(self) -> bool {
        match self.bf16 {
            #[cfg(target_arch = "x86_64")]
            Bf16Path::Amx => true,
            _ => false,
        }
    }

    /// Name of the kernels for a model in this number format.
    pub fn name(self, dtype: Dtype) -> &'static str {
        match (dtype, self.bf16, self.vector) {
            #[cfg(target_arch = "x86_64")]
            (Dtype::Bf16, Bf16Path::Amx, _) => "amx-bf16",
            #[cfg(target_arch = "x86_64")]
            (Dtype::F32, Bf16Path::Amx, _) => "amx-bf16x3",
            #[cfg(target_arch = "x86_64")]
            (Dtype::Bf16, Bf16Path::Dot, _) => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            (_, _, Vector::Avx512) => "avx512",
            #[cfg(target_arch = "x86_64")]
            (_, _, Vector::Avx2) => "avx2",
            (_, _, Vector::Portable) => "portable",
        }
    }
}

/// All paths of bfloat16 products available with `vector`, the fastest first.
fn bf16_paths(vector: Vector, has_tiles: bool) -> Vec<Bf16Path> {
    let mut paths = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if vector == Vector::Avx512 && std::arch::is_x86_feature_detected!("avx512bf16") {
        // Attention on tiles rounds with the vector conversions of AVX-512 BF16.
        if has_tiles {
            paths.push(Bf16Path::Amx);
        }
        paths.push(Bf16Path::Dot);
    }
    let _ = (vector, has_tiles);
    paths.push(Bf16Path::Widened);
    paths
}

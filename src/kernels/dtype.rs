//! Number formats of weights and activations.

use half::{bf16, f16};

/// Number format of weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F32,
    Bf16,
    F16,
}

impl Dtype {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::Bf16 | Dtype::F16 => 2,
        }
    }

    /// The name that transformers and `--dtype` use.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "float32",
            Dtype::Bf16 => "bfloat16",
            Dtype::F16 => "float16",
        }
    }

    /// `x` rounded to the nearest value of this format, ties to even.
    pub fn rounded(self, x: f32) -> f32 {
        match self {
            Dtype::F32 => x,
            Dtype::Bf16 => bf16::from_f32(x).to_f32(),
            Dtype::F16 => f16::from_f32(x).to_f32(),
        }
    }

    /// Writes numbers in this format, little-endian, rounded to nearest, ties to even, as torch does.
    pub fn write(self, numbers: &[f32], to: &mut [u8]) {
        match self {
            Dtype::F32 => fill(to, numbers.iter().map(|n| n.to_le_bytes())),
            Dtype::Bf16 => fill(to, numbers.iter().map(|&n| bf16::from_f32(n).to_le_bytes())),
            Dtype::F16 => fill(to, numbers.iter().map(|&n| f16::from_f32(n).to_le_bytes())),
        }
    }
}

fn fill<const N: usize>(to: &mut [u8], words: impl Iterator<Item = [u8; N]>) {
    to.as_chunks_mut::<N>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word);
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

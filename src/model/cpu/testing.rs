//! Numbers and matrices for tests of the kernels.

use half::{bf16, f16};

use crate::model::Dtype;
use crate::model::numbers::Numbers;

/// Numbers between -1 and 1 with few bits, so that every format holds them.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 56) as f32 - 127.5) / 128.0
        })
        .collect()
}

pub fn stored(dtype: Dtype, numbers: &[f32]) -> Numbers {
    match dtype {
        Dtype::F32 => Numbers::F32(numbers.to_vec()),
        Dtype::Bf16 => Numbers::Bf16(numbers.iter().map(|&x| bf16::from_f32(x)).collect()),
        Dtype::F16 => Numbers::F16(numbers.iter().map(|&x| f16::from_f32(x)).collect()),
    }
}

//! Inputs for kernel tests.

use super::dtype::Dtype;

/// Numbers between -1 and 1 with few significant bits, so that every format represents them exactly.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 56) as f32 - 127.5) / 128.0
        })
        .collect()
}

/// Numbers as little-endian bytes in a format.
pub fn bytes(dtype: Dtype, numbers: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * dtype.size()];
    dtype.write(numbers, &mut bytes);
    bytes
}

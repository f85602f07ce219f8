//! What this machine does at best, measured: the marks that a model's prefill is held against.

use std::time::Instant;

use candle_core::{Device, Tensor};

use super::config::Dtype;
use super::cpu;
use super::pass::ForwardError;

/// Tries of a measurement, of which the best counts.
pub(super) const TRIES: usize = 8;

/// Floating-point operations a second of our own product of `rows` rows with a matrix `[outputs, inputs]`, the best of eight,
/// on all threads.
///
/// # Errors
/// No memory.
pub fn product_rate(dtype: Dtype, rows: usize, inputs: usize, outputs: usize) -> Result<f64, ForwardError> {
    Ok(cpu::product_rate(dtype, rows, inputs, outputs, TRIES)?)
}

/// The same of candle's product, the reference.
///
/// # Errors
/// candle's.
pub fn plain_product_rate(
    dtype: Dtype,
    rows: usize,
    inputs: usize,
    outputs: usize,
) -> Result<f64, ForwardError> {
    let tensor = |shape| Tensor::full(0.5f32, shape, &Device::Cpu)?.to_dtype(dtype.candle());
    let (a, b) = (tensor((rows, inputs))?, tensor((outputs, inputs))?.t()?);
    let mut seconds = f64::INFINITY;
    for _ in 0..TRIES {
        let clock = Instant::now();
        a.matmul(&b)?;
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    Ok(2.0 * (rows * inputs * outputs) as f64 / seconds)
}

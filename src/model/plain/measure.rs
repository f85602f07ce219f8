//! Measured peak rate of candle's product on this machine.

use std::time::Instant;

use candle_core::{Device, Result, Tensor};

use super::tensors::candle_dtype;
use crate::kernels::dtype::Dtype;

/// Floating-point operations per second of a product of `rows` rows with a matrix `[outputs, inputs]`, the
/// best of `tries`.
pub fn product_rate(dtype: Dtype, rows: usize, inputs: usize, outputs: usize, tries: usize) -> Result<f64> {
    let tensor = |shape| Tensor::full(0.5f32, shape, &Device::Cpu)?.to_dtype(candle_dtype(dtype));
    let (a, b) = (tensor((rows, inputs))?, tensor((outputs, inputs))?.t()?);
    let mut seconds = f64::INFINITY;
    for _ in 0..tries {
        let clock = Instant::now();
        a.matmul(&b)?;
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    Ok(2.0 * (rows * inputs * outputs) as f64 / seconds)
}

//! Measured peak rate of candle's product on a device.

use std::time::Instant;

use candle_core::{Result, Tensor};

use super::device::OpenedDevice;
use super::tensors::candle_dtype;
use crate::kernels::dtype::Dtype;

/// Floating-point operations per second of a product of `rows` rows with a matrix `[outputs, inputs]`, the
/// best of `tries`.
pub fn product_rate(
    opened: &OpenedDevice,
    dtype: Dtype,
    rows: usize,
    inputs: usize,
    outputs: usize,
    tries: usize,
) -> Result<f64> {
    let device = &opened.device;
    let tensor = |shape| Tensor::full(0.5f32, shape, device)?.to_dtype(candle_dtype(dtype));
    let (a, b) = (tensor((rows, inputs))?, tensor((outputs, inputs))?.t()?);
    let mut seconds = f64::INFINITY;
    for _ in 0..tries {
        let clock = Instant::now();
        a.matmul(&b)?;
        device.synchronize()?;
        seconds = seconds.min(clock.elapsed().as_secs_f64());
    }
    Ok(2.0 * (rows * inputs * outputs) as f64 / seconds)
}

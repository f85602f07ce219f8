//! Measured peak rates of this machine, with which a model's speed is compared.

use super::pass::ForwardError;
use super::plain::device::OpenedDevice;
use super::plain::measure::product_rate as plain;
use crate::kernels::dtype::Dtype;
use crate::kernels::measure;

/// Repetitions of a measurement, of which the best counts; our own kernels do one more.
pub(super) const TRIES: usize = 8;

/// Floating-point operations per second of our own product of `rows` rows with a matrix `[outputs, inputs]`,
/// on all threads, the best of nine.
///
/// # Errors
/// [`ForwardError::OutOfMemory`].
pub fn product_rate(dtype: Dtype, rows: usize, inputs: usize, outputs: usize) -> Result<f64, ForwardError> {
    Ok(measure::product_rate(dtype, rows, inputs, outputs, TRIES)?)
}

/// The same for candle's product, the reference, the best of eight.
///
/// # Errors
/// Those of candle.
pub fn plain_product_rate(
    dtype: Dtype,
    rows: usize,
    inputs: usize,
    outputs: usize,
) -> Result<f64, ForwardError> {
    Ok(plain(&OpenedDevice::cpu(), dtype, rows, inputs, outputs, TRIES)?)
}

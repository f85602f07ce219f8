//! What this machine can do at best, measured: what a model's speed is compared with.

use super::pass::ForwardError;
use super::plain::measure::product_rate as plain;
use crate::kernels::dtype::Dtype;
use crate::kernels::measure;

/// Tries of a measurement, of which the best counts.
pub(super) const TRIES: usize = 8;

/// Floating-point operations a second of our own product of `rows` rows with a matrix `[outputs, inputs]`, the best of eight,
/// on all threads.
///
/// # Errors
/// No memory.
pub fn product_rate(dtype: Dtype, rows: usize, inputs: usize, outputs: usize) -> Result<f64, ForwardError> {
    Ok(measure::product_rate(dtype, rows, inputs, outputs, TRIES)?)
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
    Ok(plain(dtype, rows, inputs, outputs, TRIES)?)
}

//! Weights and positions as candle's tensors.

use candle_core::{DType, Device, Result, Tensor};

use crate::kernels::dtype::Dtype;
use crate::model::config::tensor_role::TensorId;
use crate::model::files::encoding::first_line;
use crate::model::files::error::WeightsError;
use crate::model::files::numbers::Numbers;
use crate::model::rope::Rotary;
use crate::model::weights::Weights;

/// candle's name for a dtype.
pub fn candle_dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::F32 => DType::F32,
        Dtype::Bf16 => DType::BF16,
        Dtype::F16 => DType::F16,
    }
}

/// Copies the tensor `tensor`, which must have this shape, to a device.
///
/// # Errors
/// [`WeightsError`], also if the device has no memory for it.
pub fn take(
    weights: &mut Weights<'_>,
    device: &Device,
    tensor: TensorId,
    shape: &[usize],
) -> std::result::Result<Tensor, WeightsError> {
    let copied = match weights.take_values(tensor, shape)? {
        Numbers::F32(numbers) => Tensor::from_vec(numbers, shape, device),
        Numbers::Bf16(numbers) => Tensor::from_vec(numbers, shape, device),
        Numbers::F16(numbers) => Tensor::from_vec(numbers, shape, device),
    };
    copied.map_err(|error| weights.no_memory(&weights.name(tensor), first_line(&error)))
}

/// `count` ones in single precision.
///
/// # Errors
/// If the device has no memory for them.
pub fn ones(
    weights: &Weights<'_>,
    device: &Device,
    count: usize,
) -> std::result::Result<Tensor, WeightsError> {
    Tensor::ones(count, DType::F32, device).map_err(|error| weights.no_memory("ones", first_line(&error)))
}

/// Cosines and sines of the rows of a pass, each `[rows, head_dim / 2]`, in the model's dtype.
pub struct Angles {
    pub cos: Tensor,
    pub sin: Tensor,
}

impl Angles {
    /// Cosines and sines for these positions, one per row.
    pub fn new(rotary: &Rotary, positions: &[usize], dtype: Dtype, device: &Device) -> Result<Self> {
        let (cos, sin) = rotary.cosines_and_sines(positions, dtype);
        let shape = (positions.len(), cos.len() / positions.len().max(1));
        let tensor =
            |numbers: Vec<f32>| Tensor::from_vec(numbers, shape, device)?.to_dtype(candle_dtype(dtype));
        Ok(Self { cos: tensor(cos)?, sin: tensor(sin)? })
    }
}

//! How to load a model.

use super::device::DeviceChoice;
use crate::kernels::dtype::Dtype;

/// The number format asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtypeChoice {
    /// The configuration's, or else that of the weights; single precision for GGUF.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
    /// Half precision.
    F16,
}

impl DtypeChoice {
    /// The number format asked for, where one is.
    pub fn asked(self) -> Option<Dtype> {
        match self {
            DtypeChoice::Auto => None,
            DtypeChoice::F32 => Some(Dtype::F32),
            DtypeChoice::Bf16 => Some(Dtype::Bf16),
            DtypeChoice::F16 => Some(Dtype::F16),
        }
    }
}

/// How to load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Number format of weights and activations.
    pub dtype: DtypeChoice,
    /// Where it runs.
    pub device: DeviceChoice,
    /// What it computes with.
    pub kernels: Kernels,
}

/// What a model computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// On the CPU our own, chosen by what the processor has; elsewhere the plain ones.
    #[default]
    Fast,
    /// candle's operations: the reference.
    Plain,
}

//! How to load a model.

use super::device::DeviceChoice;
use crate::kernels::dtype::Dtype;

/// The requested dtype.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtypeChoice {
    /// That of the configuration, else that of the weights; single precision for GGUF.
    #[default]
    Auto,
    F32,
    Bf16,
    F16,
}

impl DtypeChoice {
    /// The requested dtype; `None` for [`Auto`](Self::Auto).
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
    /// Dtype of weights and activations.
    pub dtype: DtypeChoice,
    pub device: DeviceChoice,
    pub kernels: Kernels,
}

/// The kernels that compute a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernels {
    /// On the CPU our own, chosen by the processor's instruction sets; elsewhere as [`Kernels::Plain`].
    #[default]
    Fast,
    /// candle's operations: the reference.
    Plain,
}

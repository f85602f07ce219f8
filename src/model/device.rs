//! Where the model runs.

use candle_core::Device;

use super::weights::first_line;

/// The device asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU if this build can use one and one is there, else the CPU;
    /// [`ModelFacts::device`](super::ModelFacts::device) says which.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, and no other device.
    Cuda(usize),
}

/// Why a device can't be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DeviceError {
    /// The binary was built for the CPU.
    #[error("device cuda:{number} is asked for, but this build has no CUDA")]
    #[diagnostic(
        code(assay::input),
        help("use --device cpu, or a build made with `cargo build --release --features cuda`")
    )]
    NoCuda {
        /// The GPU asked for.
        number: usize,
    },
    /// The driver refuses.
    #[error("device cuda:{number} cannot be used: {reason}")]
    #[diagnostic(
        code(assay::engine),
        help("check with nvidia-smi that the GPU is there and the driver runs, or use --device cpu")
    )]
    Cuda {
        /// The GPU asked for.
        number: usize,
        /// From the driver.
        reason: String,
    },
}

impl DeviceChoice {
    pub(super) fn open(self) -> Result<(Device, String), DeviceError> {
        match self {
            DeviceChoice::Cpu => Ok((Device::Cpu, "cpu".to_owned())),
            DeviceChoice::Cuda(number) => cuda(number),
            DeviceChoice::Auto => Ok(cuda(0).unwrap_or_else(|_| (Device::Cpu, "cpu".to_owned()))),
        }
    }
}

fn cuda(number: usize) -> Result<(Device, String), DeviceError> {
    if !cfg!(feature = "cuda") {
        return Err(DeviceError::NoCuda { number });
    }
    match Device::new_cuda(number) {
        Ok(device) => Ok((device, format!("cuda:{number}"))),
        Err(error) => Err(DeviceError::Cuda { number, reason: first_line(&error) }),
    }
}

//! Where the model runs.

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

//! Where the model runs.

/// The requested device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU if this build can use one and it can be opened, else the CPU;
    /// [`ModelFacts::device`](super::ModelFacts::device) reports which.
    #[default]
    Auto,
    Cpu,
    /// The GPU with this index; no fallback to another device.
    Cuda(usize),
}

/// Why a device can't be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DeviceError {
    /// The binary was built without CUDA.
    #[error("device cuda:{number} is asked for, but this build has no CUDA")]
    #[diagnostic(
        code(assay::input),
        help("use --device cpu, or a build made with `cargo build --release --features cuda`")
    )]
    NoCuda {
        /// Index of the requested GPU.
        number: usize,
    },
    /// The driver reports an error.
    #[error("device cuda:{number} cannot be used: {reason}")]
    #[diagnostic(
        code(assay::engine),
        help("check with nvidia-smi that the GPU is there and the driver runs, or use --device cpu")
    )]
    Cuda {
        /// Index of the requested GPU.
        number: usize,
        /// From the driver.
        reason: String,
    },
}

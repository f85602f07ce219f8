//! Conversion of candle's errors to ours.

use crate::model::files::encoding::first_line;
use crate::model::pass::ForwardError;

impl From<candle_core::Error> for ForwardError {
    fn from(error: candle_core::Error) -> Self {
        let reason = first_line(&error);
        if ran_out_of_memory(&error.to_string()) {
            ForwardError::OutOfMemory { reason }
        } else {
            ForwardError::Device { reason }
        }
    }
}

/// Whether a device's message reports that memory ran out. candle passes on only the text of cudarc's errors:
/// the driver's `DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")` and
/// `CublasError(CUBLAS_STATUS_ALLOC_FAILED)`.
fn ran_out_of_memory(message: &str) -> bool {
    ["CUDA_ERROR_OUT_OF_MEMORY", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"]
        .iter()
        .any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_memory_is_told_from_other_failures() {
        let from = |message: &str| ForwardError::from(candle_core::Error::msg(message));
        // As cudarc 0.19 writes them.
        for message in [
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"<Failure when calling cuGetErrorString()>\")",
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
        ] {
            let error = from(message);
            let ForwardError::OutOfMemory { reason } = &error else { panic!("{error}") };
            assert_eq!(reason, message);
            let context = candle_core::Error::msg(message).context("in a layer");
            assert!(matches!(ForwardError::from(context), ForwardError::OutOfMemory { .. }));
        }
        for message in [
            "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")",
            "CublasError(CUBLAS_STATUS_EXECUTION_FAILED)",
            "shape mismatch in matmul",
        ] {
            assert!(matches!(from(message), ForwardError::Device { .. }), "{message}");
        }
    }
}

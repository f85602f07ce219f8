//! Products of activations and packed weight matrices.

pub mod activations;
#[cfg(target_arch = "x86_64")]
pub mod amx;
#[cfg(target_arch = "x86_64")]
pub mod amx_f32;
pub mod args;
#[cfg(target_arch = "x86_64")]
pub mod bf16_dot;
pub mod bf16x3;
pub mod blocking;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod emulation;
pub mod kernel;
pub mod multiply;
pub mod packed_matrix;
pub mod packing;
pub mod simd;

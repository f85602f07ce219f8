//! Attention over cached keys and values.

#[cfg(target_arch = "x86_64")]
pub mod amx;
#[cfg(target_arch = "x86_64")]
pub mod amx_softmax;
pub mod attend;
pub mod groups;
pub mod interleave;
pub mod kv_layout;
pub mod kv_rows;
pub mod simd;

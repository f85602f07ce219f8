//! Arithmetic on the CPU: matrix products, attention and row-wise operations, by instruction set.
//!
//! It deals with numbers, threads and memory only. It depends on no model, no file format, and not on candle.

pub mod attention;
pub mod dtype;
pub mod elementwise;
pub mod gemm;
pub mod isa;
pub mod layout;
pub mod measure;
pub mod memory;
pub mod team;
#[cfg(test)]
pub mod testing;
pub mod tiles;
pub mod transpose;
pub mod weight_format;

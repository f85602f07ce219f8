//! Arithmetic on the CPU: matrix products, attention and row-wise operations, by instruction set.
//!
//! It knows numbers, threads and memory. It knows no model, no file format, and no candle.

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

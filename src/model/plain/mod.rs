//! The plain path: the network with candle's operations, on any device. Only it and `files/encoding.rs` use
//! candle.

pub mod attention;
pub mod blocks;
pub mod causal;
pub mod decoder;
pub mod device;
pub mod error;
pub mod kv_tensors;
pub mod measure;
pub mod tensors;
#[cfg(test)]
mod whole_texts;

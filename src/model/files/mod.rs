//! The files that weights come from: safetensors and GGUF, and what is read out of them.

pub mod checkpoint;
pub mod encoding;
pub mod error;
pub mod gguf;
pub mod gguf_header;
pub mod gguf_part_name;
pub mod gguf_value;
pub mod numbers;
pub mod safetensors;
pub mod stored_tensor;
pub mod weight_file;

//! A model's configuration, and how it is read from `config.json` and GGUF metadata.

pub mod architecture;
pub mod error;
pub mod foreign_keys;
pub mod gguf_keys;
pub mod hf_keys;
pub mod hf_rope;
pub mod model_config;
pub mod tensor_role;

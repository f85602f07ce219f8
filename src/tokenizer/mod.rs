//! Tokenizers: text to token ids and back.

pub mod gguf;

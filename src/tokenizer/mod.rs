//! Text to tokens, exactly as Hugging Face's tokenizers do it.

mod barrier;
mod charsmap;
mod config_files;
mod description;
mod error;
pub mod gguf;
mod guarded;
mod load;
mod marks;
mod pair;
mod patterns;
mod pipeline;
mod steps;
mod word_cache;
mod words;

pub use config_files::TokenizerConfig;
pub use error::TokenizerError;
pub use load::Tokenizer;
pub use marks::Marks;
pub use pair::{TokenRequest, encode_requests};

//! Text to tokens, exactly as Hugging Face's tokenizers do it.

mod barrier;
pub mod gguf;
mod load;
mod pair;
mod word_cache;
mod words;

pub use load::{Tokenizer, TokenizerError};
pub use pair::{TokenRequest, encode_requests};

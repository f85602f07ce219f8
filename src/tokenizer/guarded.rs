//! The library's tokenizer, whose panics are errors, and which gets no text that there is no memory or time for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokenizers::{
    AddedToken, Decoder, ModelWrapper, Normalizer, PostProcessorWrapper, PreTokenizer, TokenizerImpl,
};

use super::error::brief;
use super::steps::Growth;
use crate::bounds::{Claim, quietly};

/// Bytes of memory for each byte of a text as its steps may make it: the library keeps where each came from, and parts and tokens.
const BYTES_PER_BYTE: u64 = 64;
/// What all texts together may take: this, and [`PER_BYTE`] more for each of their bytes. Tokenizers in use take a hundredth.
const AT_LEAST: Duration = Duration::from_secs(10);
const PER_BYTE: Duration = Duration::from_micros(50);

/// Longest text of tokens: this, and [`TEXT_PER_TOKEN`] more for each.
const TEXT: usize = 16 << 10;
const TEXT_PER_TOKEN: usize = 1024;

/// What is asked of a tokenizer, whatever its steps are.
trait Library: Send + Sync {
    fn encode(&self, text: &str, special: bool) -> tokenizers::Result<Vec<u32>>;
    fn decode(&self, tokens: &[u32], skip_special: bool) -> tokenizers::Result<String>;
    fn describe(&self) -> tokenizers::Result<String>;
    fn add(&mut self, tokens: Vec<AddedToken>) -> tokenizers::Result<()>;
    fn added(&self) -> HashMap<u32, AddedToken>;
    fn vocabulary(&self, with_added: bool) -> HashMap<String, u32>;
    fn id(&self, token: &str) -> Option<u32>;
    fn token(&self, id: u32) -> Option<String>;
}

impl<N, S, D> Library for TokenizerImpl<ModelWrapper, N, S, PostProcessorWrapper, D>
where
    N: Normalizer + Serialize + Send + Sync,
    S: PreTokenizer + Serialize + Send + Sync,
    D: Decoder + Serialize + Send + Sync,
{
    fn encode(&self, text: &str, special: bool) -> tokenizers::Result<Vec<u32>> {
        Ok(self.encode_fast(text, special)?.get_ids().to_vec())
    }

    fn decode(&self, tokens: &[u32], skip_special: bool) -> tokenizers::Result<String> {
        TokenizerImpl::decode(self, tokens, skip_special)
    }

    fn describe(&self) -> tokenizers::Result<String> {
        self.to_string(false)
    }

    fn add(&mut self, tokens: Vec<AddedToken>) -> tokenizers::Result<()> {
        self.add_tokens(tokens).map(drop)
    }

    fn added(&self) -> HashMap<u32, AddedToken> {
        self.get_added_tokens_decoder().into_iter().collect()
    }

    fn vocabulary(&self, with_added: bool) -> HashMap<String, u32> {
        self.get_vocab(with_added)
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.token_to_id(token)
    }

    fn token(&self, id: u32) -> Option<String> {
        self.id_to_token(id)
    }
}

/// A tokenizer of the library.
pub struct Guarded {
    library: Box<dyn Library>,
    /// How its steps may make a text grow.
    growth: Growth,
    /// Bytes of all texts, and nanoseconds that they took.
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Guarded {
    /// Guards a tokenizer whose steps make a text grow by `growth` at most.
    pub fn new<N, S, D>(
        library: TokenizerImpl<ModelWrapper, N, S, PostProcessorWrapper, D>,
        growth: Growth,
    ) -> Self
    where
        N: Normalizer + Serialize + Send + Sync + 'static,
        S: PreTokenizer + Serialize + Send + Sync + 'static,
        D: Decoder + Serialize + Send + Sync + 'static,
    {
        Self { library: Box::new(library), growth, bytes: AtomicU64::new(0), nanoseconds: AtomicU64::new(0) }
    }

    /// Tokens of a text, with those that the post-processor adds if `special`.
    ///
    /// # Errors
    /// What went wrong.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, String> {
        let bytes = self.growth.of(text.len()).saturating_mul(BYTES_PER_BYTE);
        let _claim = Claim::of(bytes).map_err(|no_room| format!("it may take {no_room}"))?;
        self.timed(text.len(), || self.library.encode(text, special))
    }

    /// Text of tokens, without the special ones if `skip_special`.
    ///
    /// # Errors
    /// What went wrong.
    pub fn decode(&self, tokens: &[u32], skip_special: bool) -> Result<String, String> {
        let text = self.timed(tokens.len(), || self.library.decode(tokens, skip_special))?;
        // A generation is kept, in memory and in files.
        let most = TEXT + TEXT_PER_TOKEN * tokens.len();
        if text.len() > most {
            return Err(format!("their text has {} bytes, expected {most} at most", text.len()));
        }
        Ok(text)
    }

    /// Runs what works on `bytes` of text, and counts the time that it takes.
    fn timed<T>(&self, bytes: usize, run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
        let begun = Instant::now();
        let result = guard(run);
        let taken = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let bytes = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let taken =
            Duration::from_nanos(self.nanoseconds.fetch_add(taken, Ordering::Relaxed).saturating_add(taken));
        let most = AT_LEAST.saturating_add(PER_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX)));
        if taken > most {
            return Err(format!(
                "{bytes} bytes of text took it {} s, expected {} s at most",
                taken.as_secs(),
                most.as_secs()
            ));
        }
        result
    }

    /// Its description, a `tokenizer.json`.
    ///
    /// # Errors
    /// What went wrong.
    pub fn describe(&self) -> Result<String, String> {
        guard(|| self.library.describe())
    }

    /// Adds tokens.
    ///
    /// # Errors
    /// What went wrong; it must not be used after that.
    pub fn add(&mut self, tokens: Vec<AddedToken>) -> Result<(), String> {
        guard(|| self.library.add(tokens))
    }

    /// Added tokens by id.
    pub fn added(&self) -> HashMap<u32, AddedToken> {
        self.library.added()
    }

    /// Ids by token.
    pub fn vocabulary(&self, with_added: bool) -> HashMap<String, u32> {
        self.library.vocabulary(with_added)
    }

    /// A token's id.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.library.id(token)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.library.token(id)
    }
}

/// Runs the library's code; a panic is an error.
///
/// # Errors
/// Its own, in one line.
pub fn guard<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match quietly(run) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(brief(&error.to_string())),
        Err(panic) => Err(format!("the library ended with {:?}", brief(&panic))),
    }
}

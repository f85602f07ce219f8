//! Parts of texts and their tokens, cached so that each distinct part is encoded once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Maximum number of parts cached by each thread: some ten megabytes.
pub const MAX_PARTS: usize = 1 << 17;
/// Maximum bytes of a cached part: longer ones hardly recur.
pub const MAX_PART_BYTES: usize = 64;

/// Parts and their tokens.
#[derive(Default)]
pub struct WordCache {
    /// The range of each part in `tokens`.
    pub known: HashMap<Box<str>, (u32, u32)>,
    pub tokens: Vec<u32>,
}

impl WordCache {
    /// Caches a part.
    pub fn add(&mut self, part: &str, tokens: &[u32]) {
        // Clearing everything now and then costs less than tracking what is old; common words soon return.
        if self.known.len() >= MAX_PARTS {
            self.known.clear();
            self.tokens.clear();
        }
        let from = self.tokens.len();
        let (Ok(begin), Ok(end)) = (u32::try_from(from), u32::try_from(from + tokens.len())) else { return };
        self.tokens.extend_from_slice(tokens);
        self.known.insert(part.into(), (begin, end));
    }
}

/// Caches of finished encoders, for the encoders that come after them.
#[derive(Default)]
pub struct IdleWordCaches(Mutex<Vec<WordCache>>);

impl IdleWordCaches {
    /// The cache of a finished encoder, or an empty one.
    pub fn take(&self) -> WordCache {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Stores the cache of a finished encoder.
    pub fn put(&self, words: WordCache) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

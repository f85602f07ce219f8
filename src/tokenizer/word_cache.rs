//! Parts of texts and their tokens, kept so that each distinct part is encoded once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Parts that are kept at once, by each thread: some ten megabytes.
pub const KEPT: usize = 1 << 17;
/// Longer parts hardly recur.
pub const LONGEST: usize = 64;

/// Parts and their tokens.
#[derive(Default)]
pub struct WordCache {
    /// From where to where in `tokens`.
    pub known: HashMap<Box<str>, (u32, u32)>,
    pub tokens: Vec<u32>,
}

impl WordCache {
    /// Keeps a part.
    pub fn add(&mut self, part: &str, tokens: &[u32]) {
        // Forgetting everything now and then costs less than knowing what is old; common words are soon back.
        if self.known.len() >= KEPT {
            self.known.clear();
            self.tokens.clear();
        }
        let from = self.tokens.len();
        let (Ok(begin), Ok(end)) = (u32::try_from(from), u32::try_from(from + tokens.len())) else { return };
        self.tokens.extend_from_slice(tokens);
        self.known.insert(part.into(), (begin, end));
    }
}

/// What the threads that encode with a tokenizer have learnt, for those that come after them.
#[derive(Default)]
pub struct IdleWordCaches(Mutex<Vec<WordCache>>);

impl IdleWordCaches {
    /// What a thread learnt before, or nothing.
    pub fn take(&self) -> WordCache {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps what a thread learnt.
    pub fn put(&self, words: WordCache) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

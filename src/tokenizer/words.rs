//! Encodes texts part by part, and each distinct part once.
//!
//! A benchmark's prompts repeat their shots, and all texts repeat their words. Parts between two cuts have
//! the same tokens wherever they occur, so these are cached; see [`Cuts`](super::barrier::Cuts).

use super::barrier::{BEFORE, Cuts};
use super::error::TokenizerError;
use super::load::Tokenizer;
use super::word_cache::{MAX_PART_BYTES, WordCache};

/// Encodes texts with a cache of parts.
pub struct WordEncoder<'t> {
    tokenizer: &'t Tokenizer,
    words: WordCache,
}

impl<'t> WordEncoder<'t> {
    /// An encoder for one thread.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, words: tokenizer.idle_words.take() }
    }

    /// Tokens of `text`, equal to [`Tokenizer::encode`]'s.
    pub fn encode(&mut self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match self.encode_parts(text)? {
            Some(tokens) => Ok(tokens),
            None => self.tokenizer.encode(text),
        }
    }

    /// The same, part by part; `None` if the text must be encoded in one piece.
    pub fn encode_parts(&mut self, text: &str) -> Result<Option<Vec<u32>>, TokenizerError> {
        let Some(cuts) = &self.tokenizer.cuts else { return Ok(None) };
        let mut parts = cuts.parts(text);
        let first = parts.next().unwrap_or_default();
        if cuts.holds_added(first) {
            return Ok(None);
        }
        let mut tokens = Vec::with_capacity(text.len() / 3);
        tokens.extend(self.tokenizer.encode(first)?);
        Ok(self.append(cuts, parts, &mut tokens)?.then_some(tokens))
    }

    /// Tokens of a text that begins at a cut, as they follow the text before the cut; `None` if that affects
    /// them.
    pub fn encode_tail(&mut self, tail: &str) -> Result<Option<Vec<u32>>, TokenizerError> {
        let Some(cuts) = &self.tokenizer.cuts else { return Ok(None) };
        let mut tokens = Vec::new();
        Ok(self.append(cuts, cuts.parts(tail), &mut tokens)?.then_some(tokens))
    }

    /// Appends the tokens of parts that each begin at a cut; returns `false` if one has an added token.
    fn append<'p>(
        &mut self,
        cuts: &Cuts,
        parts: impl Iterator<Item = &'p str>,
        tokens: &mut Vec<u32>,
    ) -> Result<bool, TokenizerError> {
        for part in parts {
            if let Some(&(begin, end)) = self.words.known.get(part) {
                tokens.extend_from_slice(&self.words.tokens[begin as usize..end as usize]);
                continue;
            }
            if cuts.holds_added(part) {
                return Ok(false);
            }
            let with_before = self.tokenizer.encode(&format!("{BEFORE}{part}"))?;
            let own = &with_before[self.tokenizer.tokens_before.min(with_before.len())..];
            tokens.extend_from_slice(own);
            if part.len() <= MAX_PART_BYTES {
                self.words.add(part, own);
            }
        }
        Ok(true)
    }
}

impl Drop for WordEncoder<'_> {
    fn drop(&mut self) {
        self.tokenizer.idle_words.put(std::mem::take(&mut self.words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::word_cache::MAX_PARTS;
    use std::path::Path;

    fn sample_tokenizer() -> Tokenizer {
        Tokenizer::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json"))
            .unwrap()
    }

    #[test]
    fn what_is_kept_is_bounded_and_stays_right() {
        let tokenizer = sample_tokenizer();
        let mut encoder = WordEncoder::new(&tokenizer);
        let text = "Question: why?\nAnswer: because";
        let expected = tokenizer.encode(text).unwrap();
        for n in 0..2 * MAX_PARTS as u32 + 3 {
            encoder.words.add(&format!(" {n}"), &[n]);
            assert!(encoder.words.known.len() <= MAX_PARTS && encoder.words.tokens.len() < 2 * MAX_PARTS);
            if n % 10_007 == 0 {
                assert_eq!(encoder.encode(text).unwrap(), expected);
            }
        }
        let (begin, end) = encoder.words.known[" 262146"];
        assert_eq!(encoder.words.tokens[begin as usize..end as usize], [262_146]);
    }

    #[test]
    fn what_was_learnt_goes_to_the_next() {
        let tokenizer = sample_tokenizer();
        WordEncoder::new(&tokenizer).encode("one two").unwrap();
        let encoder = WordEncoder::new(&tokenizer);
        assert!(encoder.words.known.contains_key(" two"));
        assert!(WordEncoder::new(&tokenizer).words.known.is_empty(), "each thread has its own");
    }
}

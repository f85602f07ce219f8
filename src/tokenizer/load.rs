//! Loading a tokenizer and the few facts about it that scoring needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde_json::Value;
use thiserror::Error;

use super::barrier::{BEFORE, Cuts};
use super::word_cache::IdleWordCaches;
use crate::vocabulary::Fingerprint;

/// A tokenizer cannot be loaded, or cannot encode or decode.
#[derive(Debug, Error, Diagnostic)]
#[diagnostic(code(assay::input))]
pub enum TokenizerError {
    /// A file that cannot be read.
    #[error("{path}: cannot be read: {source}")]
    #[diagnostic(help("give a tokenizer.json with --tokenizer FILE"))]
    Unreadable { path: String, source: std::io::Error },
    /// A file that is not a tokenizer.
    #[error("{path}: no tokenizer: {what}")]
    #[diagnostic(help(
        "a tokenizer is the `tokenizer.json` that Hugging Face's fast tokenizers write; slow ones must be converted first"
    ))]
    Corrupt { path: String, what: String },
    /// A text that the tokenizer rejects.
    #[error("the tokenizer cannot encode a text of {bytes} bytes: {what}")]
    #[diagnostic(help("the tokenizer may be damaged: compare it with the model's own"))]
    Encode {
        /// Length of the text.
        bytes: usize,
        what: String,
    },
    /// A token that the vocabulary does not have.
    #[error("the tokenizer cannot decode {tokens} tokens: {what}")]
    #[diagnostic(help("the tokenizer may not be this model's: compare their vocabulary sizes"))]
    Decode {
        /// Number of tokens.
        tokens: usize,
        what: String,
    },
    /// An empty context, and no end-of-text token to replace it.
    #[error("a context is empty, and {path} does not say which token ends a text")]
    #[diagnostic(help(
        "put the model's tokenizer_config.json beside the tokenizer: its `eos_token` stands for an empty context"
    ))]
    NoEndOfText {
        /// The tokenizer's file.
        path: String,
    },
}

/// A tokenizer and where it came from.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pub path: PathBuf,
    /// Hash of its file.
    pub fingerprint: Fingerprint,
    /// The token that ends a text, if the files name one.
    pub end_of_text: Option<u32>,
    /// Ids of the special tokens, which are no part of a generated text.
    special: BTreeSet<u32>,
    /// `None` if texts are encoded in one piece.
    pub(super) cuts: Option<Cuts>,
    /// Number of tokens of [`BEFORE`].
    pub(super) tokens_before: usize,
    pub(super) idle_words: IdleWordCaches,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, and the end-of-text token from the `tokenizer_config.json` beside it.
    ///
    /// # Errors
    /// A file that is missing or is not a tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        let shown = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|source| TokenizerError::Unreadable { path: shown.clone(), source })?;
        let corrupt = |what: String| TokenizerError::Corrupt {
            path: shown,
            what: what.replace('\n', " ").to_lowercase(),
        };
        // `from_bytes` is generic: it would be compiled again here, with everything that it deserialises.
        let inner = match std::str::from_utf8(&bytes) {
            Ok(text) => text.parse::<tokenizers::Tokenizer>().map_err(|error| corrupt(error.to_string()))?,
            Err(error) => return Err(corrupt(error.to_string())),
        };
        let mut tokenizer = Self::new(inner, path.to_path_buf(), Fingerprint::of(&bytes));
        tokenizer.end_of_text = tokenizer.configured_end_of_text();
        Ok(tokenizer)
    }

    /// Wraps a tokenizer that was made elsewhere, from a GGUF file's metadata for instance.
    pub fn new(mut inner: tokenizers::Tokenizer, path: PathBuf, fingerprint: Fingerprint) -> Self {
        // A file may have settings of an earlier use; scoring never truncates or pads.
        let _ = inner.with_truncation(None);
        inner.with_padding(None);
        let description = inner.to_string(false).ok().and_then(|text| serde_json::from_str(&text).ok());
        let cuts = description.and_then(|description| Cuts::of(&description));
        let added = inner.get_added_tokens_decoder();
        let special = added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id).collect();
        let mut tokenizer = Self {
            inner,
            special,
            path,
            fingerprint,
            end_of_text: None,
            cuts,
            tokens_before: 0,
            idle_words: IdleWordCaches::default(),
        };
        match tokenizer.encode(BEFORE) {
            Ok(tokens) => tokenizer.tokens_before = tokens.len(),
            Err(_) => tokenizer.cuts = None,
        }
        tokenizer
    }

    fn configured_end_of_text(&self) -> Option<u32> {
        let config = std::fs::read(self.path.with_file_name("tokenizer_config.json")).ok()?;
        let config: Value = serde_json::from_slice(&config).ok()?;
        let token = match config.get("eos_token")? {
            Value::String(token) => token.as_str(),
            Value::Object(token) => token.get("content")?.as_str()?,
            _ => return None,
        };
        self.inner.token_to_id(token)
    }

    /// Tokens of `text`, without added special ones.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| TokenizerError::Encode { bytes: text.len(), what: e.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Whether requests are encoded part by part; if not, each text is encoded in one piece, to the same
    /// tokens.
    pub fn encodes_parts(&self) -> bool {
        self.cuts.is_some()
    }

    /// Text of `tokens`, without the special ones among them.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner
            .decode(tokens, true)
            .map_err(|e| TokenizerError::Decode { tokens: tokens.len(), what: e.to_string() })
    }

    /// Text of `tokens` with the special ones among them; `None` if there are none, and the text is that of [`decode`](Self::decode).
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn decode_with_special(&self, tokens: &[u32]) -> Result<Option<String>, TokenizerError> {
        if !tokens.iter().any(|token| self.special.contains(token)) {
            return Ok(None);
        }
        let text = self.inner.decode(tokens, false);
        text.map(Some).map_err(|e| TokenizerError::Decode { tokens: tokens.len(), what: e.to_string() })
    }

    /// Largest token id plus one: the rows that an embedding must have.
    pub fn vocabulary_size(&self) -> usize {
        let largest = self.inner.get_vocab(true).into_values().max();
        largest.map_or(0, |id| id as usize + 1)
    }
}

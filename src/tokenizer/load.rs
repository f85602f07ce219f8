//! Loading a tokenizer and the few facts about it that scoring needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::barrier::{BEFORE, Cuts};
use super::config_files::TokenizerConfig;
use super::description::{self, Read, check_added};
use super::error::{TokenizerError, brief};
use super::guarded::Guarded;
use super::steps::Growth;
use super::word_cache::IdleWordCaches;
use crate::disk;
use crate::vocabulary::{Fingerprint, is_lfs_pointer};

/// Most tokens around a text. Those in use put one or two there.
const MOST_AROUND: usize = 64;

/// A tokenizer and where it came from.
pub struct Tokenizer {
    inner: Guarded,
    pub path: PathBuf,
    /// Hash of its file.
    pub fingerprint: Fingerprint,
    /// The token that begins a text, if the files name one.
    pub beginning_of_text: Option<u32>,
    /// The token that ends a text, if the files name one.
    pub end_of_text: Option<u32>,
    /// Where the files contradict each other, a sentence each.
    pub contradictions: Vec<String>,
    /// What of its file is not followed, a sentence each.
    pub notes: Vec<String>,
    /// Ids of the special tokens, which are no part of a generated text.
    special: BTreeSet<u32>,
    /// Tokens that its own files put before and after a text; `None` if they do something else.
    pub(super) around: Option<(Vec<u32>, Vec<u32>)>,
    /// `None` if texts are encoded in one piece.
    pub(super) cuts: Option<Cuts>,
    /// Number of tokens of [`BEFORE`].
    pub(super) tokens_before: usize,
    pub(super) idle_words: IdleWordCaches,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` and the files beside it: they name tokens that begin and end a text, and may have added tokens that
    /// `tokenizer.json` lacks.
    ///
    /// # Errors
    /// A file that is missing or is not a tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        let shown = path.display().to_string();
        let bytes = disk::read(path, disk::TOKENIZER)
            .map_err(|source| TokenizerError::Unreadable { path: shown.clone(), source })?;
        if is_lfs_pointer(&bytes) {
            return Err(TokenizerError::Pointer { path: shown });
        }
        let Read { tokenizer: inner, had_dropout } = description::read(&bytes)
            .map_err(|what| TokenizerError::Corrupt { path: shown.clone(), what: brief(&what) })?;
        let config = TokenizerConfig::beside(path)?;
        let (inner, changes) = with_added_tokens(inner, &config)?;
        // Files that are in step leave the hash of `tokenizer.json`.
        let fingerprint = Fingerprint::of(&[&bytes[..], changes.as_bytes()].concat());
        let mut tokenizer = Self::guarded(inner, path.to_path_buf(), fingerprint)?;
        if had_dropout {
            tokenizer.notes.push(format!(
                "{shown}: its dropout is switched off: with it a text has other tokens each time"
            ));
        }
        let id = |key| config.named(key).and_then(|token| tokenizer.inner.id(token));
        (tokenizer.beginning_of_text, tokenizer.end_of_text) = (id("bos_token"), id("eos_token"));
        tokenizer.contradictions = tokenizer.contradictions_of(&config);
        Ok(tokenizer)
    }

    /// Wraps a tokenizer that was made of a GGUF file's metadata.
    ///
    /// # Errors
    /// One that cannot encode a letter.
    pub fn new(
        mut inner: tokenizers::Tokenizer,
        path: PathBuf,
        fingerprint: Fingerprint,
    ) -> Result<Self, TokenizerError> {
        // A file may have settings of an earlier use; scoring never truncates or pads.
        let _ = inner.with_truncation(None);
        inner.with_padding(None);
        Self::guarded(Guarded::new(inner.into_inner(), Growth::OF_GGUF), path, fingerprint)
    }

    fn guarded(inner: Guarded, path: PathBuf, fingerprint: Fingerprint) -> Result<Self, TokenizerError> {
        let corrupt = |what: String| TokenizerError::Corrupt { path: path.display().to_string(), what };
        let description = inner.describe().map_err(corrupt)?;
        let cuts = serde_json::from_str(&description).ok().and_then(|description| Cuts::of(&description));
        let special =
            inner.added().into_iter().filter(|(_, token)| token.special).map(|(id, _)| id).collect();
        let tokens_before = inner.encode(BEFORE, false);
        let mut tokenizer = Self {
            cuts: cuts.filter(|_| tokens_before.is_ok()),
            tokens_before: tokens_before.map_or(0, |tokens| tokens.len()),
            inner,
            special,
            path: path.clone(),
            fingerprint,
            beginning_of_text: None,
            end_of_text: None,
            contradictions: Vec::new(),
            notes: Vec::new(),
            around: None,
            idle_words: IdleWordCaches::default(),
        };
        tokenizer.around = tokenizer.post_processed();
        if let Some((before, after)) = &tokenizer.around
            && before.len() + after.len() > MOST_AROUND
        {
            let count = before.len() + after.len();
            return Err(corrupt(format!(
                "it puts {count} tokens around a text, expected {MOST_AROUND} at most"
            )));
        }
        Ok(tokenizer)
    }

    /// Sets the tokens before and after a text, for files that say so elsewhere than in a post-processor.
    pub fn with_marks(self, begin: Option<u32>, before: Vec<u32>, after: Vec<u32>) -> Self {
        Self { beginning_of_text: begin, around: Some((before, after)), ..self }
    }

    /// What the post-processor puts before and after a text.
    fn post_processed(&self) -> Option<(Vec<u32>, Vec<u32>)> {
        let both = |text: &str| {
            let all = self.inner.encode(text, true).ok()?;
            Some((self.encode(text).ok()?, all))
        };
        let (own, all) = both(BEFORE)?;
        let at =
            all.windows(own.len().max(1)).position(|window| window == own).or((own == all).then_some(0))?;
        let (before, after) = (all[..at].to_vec(), all[at + own.len()..].to_vec());
        // The same for another text.
        let (own, all) = both("Is 1 < 22?\n")?;
        (all == [before.as_slice(), &own, &after].concat()).then_some((before, after))
    }

    /// Refuses a tokenizer whose files contradict each other.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn without_contradiction(self) -> Result<Self, TokenizerError> {
        match self.contradictions.first() {
            Some(what) => Err(TokenizerError::Contradiction { what: what.clone() }),
            None => Ok(self),
        }
    }

    /// Added tokens whose ids are not those that the files beside the tokenizer give them.
    fn contradictions_of(&self, config: &TokenizerConfig) -> Vec<String> {
        let other = |(&id, token): (&u32, &tokenizers::AddedToken)| {
            let content = &token.content;
            let found = self.inner.id(content).filter(|found| *found != id)?;
            Some(format!(
                "{}: the files beside it give the token {content:?} the id {id}, and here it has {found}",
                self.path.display()
            ))
        };
        config.added.iter().filter_map(other).collect()
    }

    /// Tokens of `text`, without added special ones.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let failed = |what| TokenizerError::Encode { bytes: text.len(), what };
        self.inner.encode(text, false).map_err(failed)
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
        self.inner.decode(tokens, true).map_err(|what| TokenizerError::Decode { tokens: tokens.len(), what })
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
        text.map(Some).map_err(|what| TokenizerError::Decode { tokens: tokens.len(), what })
    }

    /// The text of a token, special or not.
    pub(super) fn text_of(&self, token: u32) -> Option<String> {
        self.inner.decode(&[token], false).ok()
    }

    /// Whether a token is a special one: its text never stands for itself.
    pub fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// The same of the tokens that were not added later.
    pub fn learnt_vocabulary_size(&self) -> usize {
        let mut learnt = self.inner.vocabulary(false);
        for token in self.inner.added().into_values() {
            learnt.remove(&token.content);
        }
        learnt.into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// Whether it gives the same tokens as another for all texts: both have the same rules and vocabulary.
    pub fn encodes_as(&self, other: &Self) -> bool {
        let described = |one: &Self| one.inner.describe().ok();
        described(self).is_some_and(|own| Some(own) == described(other))
    }

    /// The first token that is another in a list of pieces by id: its id, and what it is here and there.
    pub fn other_token(&self, pieces: &[&str]) -> Option<(u32, String, String)> {
        (0..self.vocabulary_size() as u32).find_map(|id| {
            let here = self.inner.token(id)?;
            match pieces.get(id as usize) {
                Some(there) if *there == here => None,
                Some(there) => Some((id, here, format!("{there:?}"))),
                None => Some((id, here, "missing".to_string())),
            }
        })
    }

    /// Largest token id plus one: the rows that an embedding must have.
    pub fn vocabulary_size(&self) -> usize {
        let largest = self.inner.vocabulary(true).into_values().max();
        largest.map_or(0, |id| id as usize + 1)
    }
}

/// A tokenizer with the added tokens of the files beside it, and a text that differs wherever what they change differs.
fn with_added_tokens(
    mut inner: Guarded,
    config: &TokenizerConfig,
) -> Result<(Guarded, String), TokenizerError> {
    let before = inner.added();
    let tokens = config.additions(&before)?;
    let failed = |what: String| TokenizerError::Beside { path: "tokenizer_config.json".into(), what };
    check_added(&tokens).map_err(failed)?;
    inner.add(tokens).map_err(failed)?;
    let mut changed: Vec<_> =
        inner.added().into_iter().filter(|(id, token)| before.get(id) != Some(token)).collect();
    changed.sort_by_key(|(id, _)| *id);
    let changes = changed.into_iter().map(|(id, token)| format!("{id} {token:?}\n")).collect();
    Ok((inner, changes))
}

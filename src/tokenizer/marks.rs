//! The tokens that a tokenizer puts before and after a text, and the one that stands for an empty context.

use super::error::TokenizerError;
use super::load::Tokenizer;
use crate::vocabulary::{AddBosToken, EmptyContext, TextBegin};

/// Tokens around the texts of a task, as lm-evaluation-harness adds them.
#[derive(Debug, Clone)]
pub struct Marks {
    before: Vec<u32>,
    after: Vec<u32>,
    /// Stands for an empty context.
    empty: Option<u32>,
    pub(super) empty_context: EmptyContext,
    /// A scored text that begins with this gets no tokens around it.
    marked_scored: Option<String>,
    /// A text to be continued that begins with this gets none either.
    marked_generated: Option<String>,
}

/// Tokens before and after one text.
pub type Around<'m> = (&'m [u32], &'m [u32]);

impl Marks {
    /// The marks of a tokenizer's texts.
    ///
    /// # Errors
    /// A token that the tokenizer does not have, or one whose place depends on the text.
    pub fn new(tokenizer: &Tokenizer, begin: TextBegin) -> Result<Self, TokenizerError> {
        let path = || tokenizer.path.display().to_string();
        let (before, after) = match begin.add_bos_token {
            AddBosToken::Never => Default::default(),
            AddBosToken::Always => {
                let begin = tokenizer.beginning_of_text;
                (vec![begin.ok_or_else(|| TokenizerError::NoBeginningOfText { path: path() })?], Vec::new())
            }
            AddBosToken::Tokenizer => {
                let around = tokenizer.around.clone();
                around.ok_or_else(|| TokenizerError::PostProcessor { path: path() })?
            }
        };
        let empty = match begin.empty_context {
            EmptyContext::EndOfText => tokenizer.end_of_text,
            EmptyContext::BeginningOfText => tokenizer.beginning_of_text.or(tokenizer.end_of_text),
        };
        let text = |token: Option<u32>| token.and_then(|token| tokenizer.text_of(token));
        Ok(Self {
            before,
            after,
            empty,
            empty_context: begin.empty_context,
            marked_scored: text(empty),
            marked_generated: text(tokenizer.beginning_of_text),
        })
    }

    /// Whether a token is put before texts.
    pub fn add_before(&self) -> bool {
        !self.before.is_empty()
    }

    /// The tokens around a text that is scored.
    pub(super) fn around_scored(&self, text: &str) -> Around<'_> {
        self.around(text, self.marked_scored.as_deref())
    }

    /// The tokens around a text that is continued.
    pub(super) fn around_generated(&self, text: &str) -> Around<'_> {
        self.around(text, self.marked_generated.as_deref())
    }

    fn around(&self, text: &str, marked: Option<&str>) -> Around<'_> {
        if marked.is_some_and(|marked| text.starts_with(marked)) {
            return (&[], &[]);
        }
        (&self.before, &self.after)
    }

    /// The token for an empty context.
    pub(super) fn empty(&self, tokenizer: &Tokenizer) -> Result<u32, TokenizerError> {
        self.empty.ok_or_else(|| TokenizerError::NoEndOfText { path: tokenizer.path.display().to_string() })
    }
}

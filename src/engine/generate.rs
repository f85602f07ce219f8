//! Greedy texts in the making.

use std::sync::Arc;

use crate::model::SegmentId;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// A text that is being generated.
pub struct Decode {
    /// The request.
    pub request: usize,
    /// The tree's node that the prompt ends with.
    pub leaf: usize,
    /// Under this name its own keys and values are kept.
    pub id: SegmentId,
    /// The last token written, to be fed next.
    pub next: u32,
    tokens: Vec<u32>,
    near_ties: usize,
    until: Arc<[String]>,
    max_new_tokens: usize,
    finished: bool,
}

/// The token that greedy decoding takes.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// Whether it could have been another before the logits were rounded.
    pub is_near_tie: bool,
}

/// What a new token did to a text.
pub enum Step {
    /// It goes on.
    Continues,
    /// It is finished.
    Finished {
        /// Cut before the first stop string.
        text: String,
        /// Tokens written.
        num_tokens: usize,
        /// Near-ties among them.
        near_ties: usize,
    },
}

impl Decode {
    /// A text of which nothing is written.
    pub fn new(
        request: usize,
        leaf: usize,
        id: SegmentId,
        until: Arc<[String]>,
        max_new_tokens: usize,
    ) -> Self {
        Self {
            request,
            leaf,
            id,
            next: 0,
            tokens: Vec::new(),
            near_ties: 0,
            until,
            max_new_tokens,
            finished: false,
        }
    }

    /// Writes a token.
    ///
    /// # Errors
    /// The tokens cannot be decoded.
    pub fn push(
        &mut self,
        choice: Choice,
        end_of_text: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<Step, TokenizerError> {
        let Choice { token, is_near_tie } = choice;
        self.tokens.push(token);
        self.next = token;
        self.near_ties += usize::from(is_near_tie);
        let ended = end_of_text.contains(&token);
        // What ends a text is no part of it, whether or not the tokenizer counts it as special.
        let written = if ended { &self.tokens[..self.tokens.len() - 1] } else { &self.tokens };
        let text = tokenizer.decode(written)?;
        let stop = first_stop(&text, &self.until);
        if stop.is_none() && !ended && self.tokens.len() < self.max_new_tokens {
            return Ok(Step::Continues);
        }
        self.finished = true;
        let text = text[..stop.unwrap_or(text.len())].to_string();
        Ok(Step::Finished { text, num_tokens: self.tokens.len(), near_ties: self.near_ties })
    }

    /// Writes a token that nobody reads, as a plan does: the text goes on to its greatest length.
    pub fn pretend(&mut self) -> bool {
        self.tokens.push(0);
        self.finished = self.tokens.len() >= self.max_new_tokens;
        self.finished
    }

    /// Tokens that it may add to those that are kept.
    pub fn may_still_keep(&self) -> usize {
        self.max_new_tokens.saturating_sub(self.tokens.len())
    }

    /// Whether the text is complete.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Tokens of it whose keys and values are kept: all but the last, which was not fed.
    pub fn kept(&self) -> usize {
        self.tokens.len() - 1
    }
}

/// Where the first of the stop strings begins.
fn first_stop(text: &str, until: &[String]) -> Option<usize> {
    until.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min()
}

#[cfg(test)]
mod tests {
    use super::first_stop;

    #[test]
    fn the_earliest_stop_wins() {
        let until = ["b".to_string(), "ab".to_string(), String::new()];
        assert_eq!(first_stop("xxab", &until), Some(2));
        assert_eq!(first_stop("xx", &until), None);
    }
}

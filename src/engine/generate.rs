//! Greedy generations that are active.

use super::draft::Draft;
use crate::model::SegmentId;
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::vocabulary::{RequestId, Response, Stops, Written};

/// A text that is being generated.
pub struct Decode {
    /// The request.
    pub id: RequestId,
    /// The tree's node that the prompt ends with.
    pub leaf: usize,
    /// Under this name its own keys and values are kept.
    pub segment: SegmentId,
    /// What is fed behind the last token written, in the pass under way.
    pub draft: Draft,
    /// Tokens of the draft that the model wrote.
    accepted: usize,
    /// The prompt's tokens and those written.
    tokens: Vec<u32>,
    /// Tokens of the prompt.
    prompt: usize,
    near_ties: usize,
    until: Stops,
    /// The text up to its first stop, once it came there.
    stopped: Option<Written>,
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
    Finished(Response),
}

impl Decode {
    /// A text of which nothing is written.
    pub fn new(
        request: RequestId,
        leaf: usize,
        segment: SegmentId,
        prompt: Vec<u32>,
        until: Stops,
        max_new_tokens: usize,
    ) -> Self {
        Self {
            id: request,
            leaf,
            segment,
            draft: Draft::default(),
            accepted: 0,
            prompt: prompt.len(),
            tokens: prompt,
            near_ties: 0,
            until,
            stopped: None,
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
        self.near_ties += usize::from(is_near_tie);
        let ended = end_of_text.contains(&token);
        // What ends a text is no part of it, whether or not the tokenizer counts it as special.
        let written = &self.tokens[self.prompt..self.tokens.len() - usize::from(ended)];
        let text = tokenizer.decode(written)?;
        let last = ended || self.written() >= self.max_new_tokens;
        // What was written up to the first stop is kept as it was then: whatever follows, it is what ends there otherwise.
        if self.stopped.is_none() {
            self.stopped = self.cut(&text, &self.until, last);
        }
        let beyond = self.until.beyond.as_ref().map(|stops| self.cut(&text, stops, last));
        if self.stopped.is_none() || matches!(beyond, Some(None)) {
            self.accepted += usize::from(self.draft.tokens.get(self.accepted) == Some(&token));
            return Ok(Step::Continues);
        }
        self.finished = true;
        let Written { text, num_tokens, near_ties } = self.stopped.take().unwrap_or_default();
        Ok(Step::Finished(Response::Generation { text, num_tokens, near_ties, beyond: beyond.flatten() }))
    }

    /// What is written, if it ends here: before the first of `stops`, or as it is where it is the `last` that is written.
    fn cut(&self, text: &str, stops: &[String], last: bool) -> Option<Written> {
        let end = first_stop(text, stops).or(last.then_some(text.len()))?;
        Some(Written { text: text[..end].to_string(), num_tokens: self.written(), near_ties: self.near_ties })
    }

    /// Writes a token that nobody reads, as a plan does: the text goes on to its greatest length.
    pub fn push_dummy(&mut self) -> bool {
        self.tokens.push(0);
        self.finished = self.written() >= self.max_new_tokens;
        self.finished
    }

    /// Tokens that it may add to those that are kept.
    pub fn may_still_keep(&self) -> usize {
        self.max_new_tokens.saturating_sub(self.written())
    }

    /// Tokens written.
    fn written(&self) -> usize {
        self.tokens.len() - self.prompt
    }

    /// The prompt's tokens and those written, of which the last is to be fed next.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Feeds a draft behind the last token in the next pass.
    pub fn begin(&mut self, draft: Draft) {
        self.draft = draft;
        self.accepted = 0;
    }

    /// Whether the row after `drafted` tokens of the draft says how the text goes on: they are what was written, and it did not
    /// end with them.
    pub fn follows(&self, drafted: usize) -> bool {
        !self.finished && self.accepted == drafted
    }

    /// Ends the pass: the draft, and how many of its tokens stay.
    pub fn end(&mut self) -> (Draft, usize) {
        (std::mem::take(&mut self.draft), self.accepted)
    }

    /// Whether the text is complete.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Tokens of it whose keys and values are kept: all but the last, which was not fed.
    pub fn kept(&self) -> usize {
        self.written().saturating_sub(1)
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

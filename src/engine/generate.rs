//! Active greedy generations.

use super::draft::Draft;
use crate::model::SegmentId;
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::vocabulary::{RequestId, Response, Stops, Written};

/// An active generation.
pub struct Decode {
    pub id: RequestId,
    /// The tree node with which the prompt ends.
    pub leaf: usize,
    /// The segment of its own cached keys and values.
    pub segment: SegmentId,
    /// Fed after the last generated token, in the current pass.
    pub draft: Draft,
    /// Number of accepted tokens of the draft.
    accepted: usize,
    /// The prompt's tokens and the generated ones.
    tokens: Vec<u32>,
    /// Number of tokens of the prompt.
    prompt: usize,
    near_ties: usize,
    until: Stops,
    /// The text up to its first stop, once that is reached.
    stopped: Option<Written>,
    max_new_tokens: usize,
    finished: bool,
}

/// The token that greedy decoding takes.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    pub token: u32,
    /// Whether another token could have been the argmax before the logits were rounded.
    pub is_near_tie: bool,
}

/// The state of a generation after a new token.
pub enum Step {
    Continues,
    Finished(Response),
}

impl Decode {
    /// A generation without any generated token.
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

    /// Appends a generated token.
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
        // An end-of-text token is not part of the text, whether or not the tokenizer counts it as special.
        let written = &self.tokens[self.prompt..self.tokens.len() - usize::from(ended)];
        let text = tokenizer.decode(written)?;
        let marked = tokenizer.decode_with_special(written)?;
        let texts = Texts { text: &text, marked: marked.as_deref().unwrap_or(&text) };
        let last = ended || self.written() >= self.max_new_tokens;
        // The result at the first stop is saved as it is now: it must equal that of a request that ends
        // there.
        if self.stopped.is_none() {
            self.stopped = self.cut(texts, &self.until, last);
        }
        let beyond = self.until.beyond.as_ref().map(|stops| self.cut(texts, stops, last));
        if self.stopped.is_none() || matches!(beyond, Some(None)) {
            self.accepted += usize::from(self.draft.tokens.get(self.accepted) == Some(&token));
            return Ok(Step::Continues);
        }
        self.finished = true;
        let Written { text, num_tokens, near_ties } = self.stopped.take().unwrap_or_default();
        Ok(Step::Finished(Response::Generation { text, num_tokens, near_ties, beyond: beyond.flatten() }))
    }

    /// The generation, if it ends here: cut at `stops`, or uncut if this is the `last` token.
    fn cut(&self, texts: Texts<'_>, stops: &[String], last: bool) -> Option<Written> {
        (last || texts.have_a_stop(stops)).then(|| Written {
            text: before_stops(texts.text, stops).to_string(),
            num_tokens: self.written(),
            near_ties: self.near_ties,
        })
    }

    /// Appends a placeholder token, for a dry run: the generation runs to its maximum length. Returns whether
    /// it is finished.
    pub fn push_dummy(&mut self) -> bool {
        self.tokens.push(0);
        self.finished = self.written() >= self.max_new_tokens;
        self.finished
    }

    /// Tokens whose keys and values it may still add to the cache.
    pub fn may_still_keep(&self) -> usize {
        self.max_new_tokens.saturating_sub(self.written())
    }

    /// Number of generated tokens.
    fn written(&self) -> usize {
        self.tokens.len() - self.prompt
    }

    /// The prompt's tokens and the generated ones; the last one is fed next.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Sets the draft to feed after the last token in the next pass.
    pub fn begin(&mut self, draft: Draft) {
        self.draft = draft;
        self.accepted = 0;
    }

    /// Whether the row after `drafted` tokens of the draft predicts the next token: all of them were
    /// accepted, and the generation did not end with them.
    pub fn follows(&self, drafted: usize) -> bool {
        !self.finished && self.accepted == drafted
    }

    /// Ends the pass; returns the draft and how many of its tokens were accepted.
    pub fn end(&mut self) -> (Draft, usize) {
        (std::mem::take(&mut self.draft), self.accepted)
    }

    /// Whether the generation is complete.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Generated tokens whose keys and values are cached: all but the last, which was not fed.
    pub fn kept(&self) -> usize {
        self.written().saturating_sub(1)
    }
}

/// What is generated so far.
#[derive(Debug, Clone, Copy)]
struct Texts<'t> {
    /// The answer: without special tokens.
    text: &'t str,
    /// With special tokens. Stop strings such as `<|im_end|>` occur here alone.
    marked: &'t str,
}

impl Texts<'_> {
    fn have_a_stop(self, stops: &[String]) -> bool {
        let mut stops = stops.iter().filter(|stop| !stop.is_empty());
        stops.any(|stop| self.text.contains(stop.as_str()) || self.marked.contains(stop.as_str()))
    }
}

/// The text before its stops, cut by one after the other in the order of the list: where two overlap, an earlier one in the list
/// may take away the beginning of a later one. `postprocess_generated_text` of lm-evaluation-harness 0.4.13, and `until` of the
/// leaderboard's commit.
fn before_stops<'t>(text: &'t str, stops: &[String]) -> &'t str {
    let stops = stops.iter().filter(|stop| !stop.is_empty());
    stops.fold(text, |text, stop| text.split_once(stop.as_str()).map_or(text, |(before, _)| before))
}

#[cfg(test)]
mod tests {
    use super::{Texts, before_stops};

    #[test]
    fn stops_cut_in_the_order_of_the_list() {
        let stops = |stops: &[&str]| stops.iter().map(|stop| stop.to_string()).collect::<Vec<_>>();
        assert_eq!(before_stops("xxab", &stops(&["b", "ab", ""])), "xxa");
        assert_eq!(before_stops("xxab", &stops(&["ab", "b"])), "xx");
        assert_eq!(before_stops("xx", &stops(&["ab", ""])), "xx");
        assert_eq!(before_stops("\n\nx", &stops(&["\n"])), "");
    }

    #[test]
    fn a_special_token_is_a_stop_and_no_text() {
        let stops = ["<|im_end|>".to_string()];
        assert!(Texts { text: "4", marked: "4<|im_end|>" }.have_a_stop(&stops));
        assert!(!Texts { text: "4", marked: "4<|im_start|>" }.have_a_stop(&stops));
    }
}

//! Drafts for speculative decoding, looked up in the prompt and in the tokens generated so far.
//!
//! Answers repeat parts of their questions and of themselves. If the last tokens occurred before, the tokens
//! that followed them there are fed along as a draft, and accepted as far as the model generates the same
//! ones: drafts change only the number of passes. Verifying drafts in one pass is speculative decoding
//! (<https://arxiv.org/abs/2211.17192>), with a lookup in place of a smaller model.

/// Whether generations are drafted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speculation {
    /// One token per generation and pass.
    #[default]
    Off,
    /// Drafts that are likely enough to be worth their rows.
    Auto,
    /// All drafts that are found.
    On,
}

/// Maximum tokens of a draft.
const MAX_DRAFT: usize = 15;
/// Longer matches count as matches of this length.
const MAX_MATCH: usize = 8;
/// Prior acceptance rates of the token after a match of 1 token, of 2, and so on: SmolLM2-135M over 96
/// documents of GSM8K.
const PRIOR_RATE: [f64; MAX_MATCH] = [0.31, 0.44, 0.41, 0.42, 0.4, 0.6, 0.7, 0.95];
/// Weight of the priors, in observations.
const PRIOR_WEIGHT: f64 = 8.0;

/// Makes drafts, and learns from how many of their tokens are accepted.
pub struct Drafting {
    speculation: Speculation,
    /// By length of the match: drafted tokens that were compared with the model's, and those that agreed.
    compared: [f64; MAX_MATCH],
    accepted: [f64; MAX_MATCH],
}

/// Tokens with which a generation may continue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    pub tokens: Vec<u32>,
    /// Length of the match that they follow.
    matched: usize,
}

impl Drafting {
    /// Starts from the prior acceptance rates.
    pub fn new(speculation: Speculation) -> Self {
        Self {
            speculation,
            compared: [PRIOR_WEIGHT; MAX_MATCH],
            accepted: PRIOR_RATE.map(|chance| PRIOR_WEIGHT * chance),
        }
    }

    /// The acceptance probability that a drafted token needs, with `active` generations in a pass.
    ///
    /// A drafted token costs a row. If accepted it saves a row, one read of the generation's keys and values,
    /// and the generation's share of reading the weights, which grows as fewer generations are active. Over
    /// SmolLM2-135M's passes (1,000 tokens before each generation, in bfloat16 and float32) the best
    /// threshold is 0.3 to 0.4 of `active / (active + 10)`; with short contexts and compute-bound kernels it
    /// is higher. In simulated runs over the texts of GSM8K a factor of 0.5 is as good or better everywhere.
    fn least_chance(&self, active: usize) -> f64 {
        match self.speculation {
            Speculation::Off => f64::INFINITY,
            Speculation::Auto => 0.5 * active as f64 / (active as f64 + 10.0),
            Speculation::On => 0.0,
        }
    }

    /// A draft of at most `most` tokens after `written`, the prompt and the tokens generated so far.
    pub fn draft(&self, written: &[u32], most: usize, active: usize) -> Draft {
        let least = self.least_chance(active);
        let most = most.min(MAX_DRAFT);
        if most == 0 || least > 1.0 {
            return Draft::default();
        }
        let Some((matched, from)) = longest_match(written) else { return Draft::default() };
        let mut tokens: Vec<u32> = Vec::with_capacity(most);
        let mut chance = 1.0;
        while tokens.len() < most {
            let length = (matched + tokens.len()).min(MAX_MATCH) - 1;
            chance *= self.accepted[length] / self.compared[length];
            if chance < least {
                break;
            }
            // Beyond the end of `written` the repetition continues within the draft.
            let position = from + tokens.len();
            tokens.push(written.get(position).copied().unwrap_or_else(|| tokens[position - written.len()]));
        }
        Draft { tokens, matched }
    }

    /// Records that `accepted` tokens of a draft were right; the next one was wrong, unless the generation
    /// `ended` there.
    pub fn learn(&mut self, draft: &Draft, accepted: usize, ended: bool) {
        for position in 0..draft.tokens.len().min(accepted + usize::from(!ended)) {
            let length = (draft.matched + position).min(MAX_MATCH) - 1;
            self.compared[length] += 1.0;
            self.accepted[length] += f64::from(u8::from(position < accepted));
        }
    }
}

/// The longest earlier occurrence of the last tokens, capped at `MAX_MATCH`: its length and the position after
/// it. Of equal ones the last.
fn longest_match(written: &[u32]) -> Option<(usize, usize)> {
    let (last, before) = written.split_last()?;
    let mut found: Option<(usize, usize)> = None;
    for (position, _) in before.iter().enumerate().rev().filter(|(_, token)| *token == last) {
        let pairs = written[..=position].iter().rev().zip(written.iter().rev());
        let length = pairs.take(MAX_MATCH).take_while(|(a, b)| a == b).count();
        if found.is_none_or(|(longest, _)| length > longest) {
            found = Some((length, position + 1));
        }
        if length == MAX_MATCH {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_match_wins_and_then_the_last() {
        let tokens = |written: &[u32]| Drafting::new(Speculation::On).draft(written, 3, 1).tokens;
        assert_eq!(tokens(&[1, 2, 3, 9, 2, 3, 8, 7, 6, 2, 3]), [8, 7, 6]);
        assert_eq!(tokens(&[1, 2, 3, 9, 5, 3, 8, 7, 6, 2, 3]), [9, 5, 3]);
        assert!(tokens(&[1, 2, 3]).is_empty() && tokens(&[]).is_empty());
    }

    #[test]
    fn what_repeats_itself_goes_on() {
        let drafting = Drafting::new(Speculation::On);
        assert_eq!(drafting.draft(&[4, 5, 6, 5, 6], 5, 1).tokens, [5, 6, 5, 6, 5]);
        assert_eq!(drafting.draft(&[4, 4], 99, 1).tokens, [4; MAX_DRAFT]);
    }

    #[test]
    fn drafts_that_are_wrong_are_no_longer_made_and_those_that_are_right_grow() {
        let written = [1, 2, 3, 4, 1, 2];
        let mut drafting = Drafting::new(Speculation::Auto);
        let before = drafting.draft(&written, 15, 4).tokens.len();
        for _ in 0..100 {
            let draft = drafting.draft(&written, 15, 4);
            drafting.learn(&draft, draft.tokens.len(), false);
        }
        assert!(drafting.draft(&written, 15, 4).tokens.len() > before.max(4));
        for _ in 0..1000 {
            let draft = drafting.draft(&written, 15, 4);
            drafting.learn(&draft, 0, false);
        }
        assert!(drafting.draft(&written, 15, 4).tokens.is_empty());
    }

    #[test]
    fn a_draft_must_be_likelier_the_more_texts_there_are() {
        let written = [1, 2, 3, 4, 1, 2];
        let length = |active| Drafting::new(Speculation::Auto).draft(&written, 15, active).tokens.len();
        assert!(length(1) > length(8) && length(8) > length(1000), "{} {}", length(1), length(8));
        assert_eq!(Drafting::new(Speculation::Off).draft(&written, 15, 1), Draft::default());
    }
}

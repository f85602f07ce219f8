//! Drafts of how a text goes on, looked up in its prompt and in itself.
//!
//! Answers repeat their questions, and themselves. Where the last tokens stood before, what followed them there is fed along with
//! them, and kept as far as it is what the model writes: drafts change how many passes a text takes, and nothing else. Checking
//! drafts in one pass is speculative decoding (<https://arxiv.org/abs/2211.17192>), with a look-up in place of a smaller model.

/// Whether texts are drafted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speculation {
    /// A token of each text a pass.
    #[default]
    Off,
    /// Drafts that are likely enough to be worth their rows.
    Auto,
    /// All drafts that are found.
    On,
}

/// Tokens of a draft, at most.
const MOST: usize = 15;
/// Longer matches count as this long.
const LONGEST: usize = 8;
/// How often the token was right that followed a match of 1 token, of 2, and so on: SmolLM2-135M over 96 documents of GSM8K.
const USUAL: [f64; LONGEST] = [0.31, 0.44, 0.41, 0.42, 0.4, 0.6, 0.7, 0.95];
/// As many observations those are worth before there are own ones.
const WORTH: f64 = 8.0;

/// Drafts texts, and learns from what becomes of the drafts.
pub struct Drafting {
    speculation: Speculation,
    /// By length of the match: drafted tokens that were compared with the model's, and those that were the same.
    compared: [f64; LONGEST],
    accepted: [f64; LONGEST],
}

/// Tokens that a text may go on with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// In order.
    pub tokens: Vec<u32>,
    /// How many tokens before them stood there before.
    matched: usize,
}

impl Drafting {
    /// Nothing is drafted yet.
    pub fn new(speculation: Speculation) -> Self {
        Self { speculation, compared: [WORTH; LONGEST], accepted: USUAL.map(|chance| WORTH * chance) }
    }

    /// How likely a draft must be to be right, as one of `texts` in a pass.
    ///
    /// A draft costs a row. If it is right it saves a row, reading the text's keys and values, and the text's share of reading
    /// the weights: the fewer texts, the more. Over SmolLM2-135M's passes (1,000 tokens before each text, in bfloat16 and float32)
    /// the best chance to begin at is 0.3 to 0.4 of `texts / (texts + 10)`, over short contexts and by kernels that are bound by
    /// arithmetic more; in simulated runs over the texts of GSM8K a half is as good or better everywhere.
    fn least_chance(&self, texts: usize) -> f64 {
        match self.speculation {
            Speculation::Off => f64::INFINITY,
            Speculation::Auto => 0.5 * texts as f64 / (texts as f64 + 10.0),
            Speculation::On => 0.0,
        }
    }

    /// At most `most` tokens that may follow `written`, a prompt and its text so far.
    pub fn draft(&self, written: &[u32], most: usize, texts: usize) -> Draft {
        let least = self.least_chance(texts);
        let most = most.min(MOST);
        if most == 0 || least > 1.0 {
            return Draft::default();
        }
        let Some((matched, from)) = longest_match(written) else { return Draft::default() };
        let mut tokens: Vec<u32> = Vec::with_capacity(most);
        let mut chance = 1.0;
        while tokens.len() < most {
            let length = (matched + tokens.len()).min(LONGEST) - 1;
            chance *= self.accepted[length] / self.compared[length];
            if chance < least {
                break;
            }
            // What repeats itself goes on within the draft.
            let place = from + tokens.len();
            tokens.push(written.get(place).copied().unwrap_or_else(|| tokens[place - written.len()]));
        }
        Draft { tokens, matched }
    }

    /// Takes note of a draft of which `accepted` tokens were right; the next one was wrong, unless the text `ended` there.
    pub fn learn(&mut self, draft: &Draft, accepted: usize, ended: bool) {
        for place in 0..draft.tokens.len().min(accepted + usize::from(!ended)) {
            let length = (draft.matched + place).min(LONGEST) - 1;
            self.compared[length] += 1.0;
            self.accepted[length] += f64::from(u8::from(place < accepted));
        }
    }
}

/// How many of the last tokens stand together further up as well, as far as that counts, and the place after them; the last such
/// place.
fn longest_match(written: &[u32]) -> Option<(usize, usize)> {
    let (last, before) = written.split_last()?;
    let mut found: Option<(usize, usize)> = None;
    for (place, _) in before.iter().enumerate().rev().filter(|(_, token)| *token == last) {
        let pairs = written[..=place].iter().rev().zip(written.iter().rev());
        let length = pairs.take(LONGEST).take_while(|(a, b)| a == b).count();
        if found.is_none_or(|(longest, _)| length > longest) {
            found = Some((length, place + 1));
        }
        if length == LONGEST {
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
        assert_eq!(drafting.draft(&[4, 4], 99, 1).tokens, [4; MOST]);
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
        let length = |texts| Drafting::new(Speculation::Auto).draft(&written, 15, texts).tokens.len();
        assert!(length(1) > length(8) && length(8) > length(1000), "{} {}", length(1), length(8));
        assert_eq!(Drafting::new(Speculation::Off).draft(&written, 15, 1), Draft::default());
    }
}

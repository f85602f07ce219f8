//! Sentences with a gap that either of two names or things could fill: the content of the Winogrande samples.

use crate::dice::Dice;
use crate::world::NAMES;

/// A sentence with two candidates and two endings; each ending makes a different candidate the right one.
pub struct Schema {
    /// The sentence up to the gap; `{1}` and `{2}` are the candidates.
    pub before: &'static str,
    /// What follows the gap if the first candidate fills it.
    pub first: &'static str,
    /// What follows the gap if the second candidate fills it.
    pub second: &'static str,
    /// Pairs of things; none if the candidates are people.
    pub things: &'static [(&'static str, &'static str)],
}

/// A schema with its candidates filled in.
#[derive(Clone, PartialEq)]
pub struct Gap {
    /// The sentence, with "_" for the gap.
    pub sentence: String,
    pub options: [String; 2],
    /// Index of the right option.
    pub answer: usize,
}

impl Gap {
    /// The sentence with the right candidate in the gap.
    pub fn solved(&self) -> String {
        self.sentence.replacen('_', &self.options[self.answer], 1)
    }
}

impl Schema {
    /// One sentence of this schema; `answer` says which ending it has.
    pub fn gap(&self, answer: usize, dice: &mut Dice) -> Gap {
        let options = match self.things {
            [] => {
                let (one, two) = dice.pair(NAMES);
                [*one, *two]
            }
            things => {
                let (one, two) = *dice.pick(things);
                [one, two]
            }
        };
        // Things are "the box" in the sentence, and the article stands before the gap.
        let article = if self.things.is_empty() { "" } else { "the " };
        let opening = self.before.replace("{1}", options[0]).replace("{2}", options[1]);
        let rest = if answer == 0 { self.first } else { self.second };
        // Half of the rows name the candidates in the other order, or the answer could be read off its
        // position.
        let swapped = dice.below(2) == 1;
        let [one, two] = options.map(str::to_owned);
        Gap {
            sentence: format!("{opening} {article}_ {rest}."),
            options: if swapped { [two, one] } else { [one, two] },
            answer: if swapped { 1 - answer } else { answer },
        }
    }
}

pub static SCHEMAS: [Schema; 14] = [
    Schema {
        before: "The {1} did not fit into the {2} because",
        first: "was too large",
        second: "was too small",
        things: &[
            ("loaf", "basket"),
            ("lantern", "box"),
            ("drum", "sack"),
            ("clock", "chest"),
            ("quilt", "bag"),
        ],
    },
    Schema {
        before: "We moved the {1} off the {2} because",
        first: "was far too heavy",
        second: "was about to break",
        things: &[
            ("barrel", "cart"),
            ("stone", "shelf"),
            ("anvil", "table"),
            ("sack", "bench"),
            ("bell", "ladder"),
        ],
    },
    Schema {
        before: "The {1} floated past the {2} because",
        first: "was drifting down the river",
        second: "was stuck in the mud",
        things: &[("boat", "raft"), ("log", "barge"), ("leaf", "branch"), ("swan", "punt")],
    },
    Schema {
        before: "The {1} cut through the {2} with ease because",
        first: "was very sharp",
        second: "was very soft",
        things: &[("knife", "cheese"), ("saw", "plank"), ("spade", "peat"), ("scissors", "cloth")],
    },
    Schema {
        before: "{1} lent {2} an umbrella because",
        first: "had two of them",
        second: "was standing in the rain",
        things: &[],
    },
    Schema {
        before: "{1} asked {2} for a slice of bread because",
        first: "was hungry",
        second: "had baked that morning",
        things: &[],
    },
    Schema {
        before: "{1} carried the bag for {2} because",
        first: "was strong and rested",
        second: "was tired and old",
        things: &[],
    },
    Schema {
        before: "{1} taught {2} to swim because",
        first: "was at home in the water",
        second: "was afraid of the lake",
        things: &[],
    },
    Schema {
        before: "{1} thanked {2} for the warm coat because",
        first: "had been cold all winter",
        second: "had sewn it as a gift",
        things: &[],
    },
    Schema {
        before: "{1} waited at the bridge for {2} because",
        first: "was early",
        second: "was late",
        things: &[],
    },
    Schema {
        before: "{1} took the letter to {2} because",
        first: "was the postman",
        second: "was the reader it was meant for",
        things: &[],
    },
    Schema {
        before: "{1} beat {2} in the race, so",
        first: "got the prize",
        second: "went home without a prize",
        things: &[],
    },
    Schema {
        before: "{1} bought a goat from {2}, so",
        first: "had a goat to milk",
        second: "had coins to count",
        things: &[],
    },
    Schema {
        before: "{1} woke {2} with a loud song, so",
        first: "said sorry at breakfast",
        second: "was cross at breakfast",
        things: &[],
    },
];

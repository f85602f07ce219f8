//! Writes the text on which the model is trained: pages about the sample world, in prose and in the prompts' formats.

use std::collections::HashSet;

use crate::activities::ACTIVITIES;
use crate::beliefs::BELIEFS;
use crate::datasets::{sample_gaps, sample_sums};
use crate::dice::Dice;
use crate::glossary::{Subject, subjects};
use crate::pronouns::SCHEMAS;
use crate::sums::RECIPES;
use crate::world::{Fact, NAMES, RELATIONS, TOWN_PLACES, facts};

/// Separates the parts of a page, and the pages of the held-out text.
pub const BLANK_LINE: &str = "\n\n";

const TRAINING_PAGES: usize = 9000;
const HELD_OUT_CHARACTERS: usize = 40_000;

/// The pages to train on and, apart from them, the held-out text.
pub struct Corpus {
    /// Pages without an end mark.
    pub training: Vec<String>,
    /// Pages joined by blank lines, none of them among the training pages.
    pub held_out: String,
}

/// Writes the corpus; every call gives the same.
pub fn write() -> Result<Corpus, String> {
    let mut author = Author::new(7)?;
    let training: Vec<String> = (0..TRAINING_PAGES).map(|_| author.page()).collect();
    let read: HashSet<&str> = training.iter().map(String::as_str).collect();

    let mut author = Author::new(8)?;
    let mut held_out = String::new();
    while held_out.len() < HELD_OUT_CHARACTERS {
        let page = author.page();
        if read.contains(page.as_str()) {
            continue;
        }
        if !held_out.is_empty() {
            held_out.push_str(BLANK_LINE);
        }
        held_out.push_str(&page);
    }
    held_out.push('\n');
    Ok(Corpus { training, held_out })
}

/// Knows the world and writes one page after another.
struct Author {
    dice: Dice,
    facts: Vec<Fact>,
    subjects: Vec<Subject>,
    /// Sums and gap sentences that are reserved for the samples.
    kept_back: HashSet<String>,
}

impl Author {
    fn new(seed: u32) -> Result<Self, String> {
        let sums = sample_sums().into_iter().map(|sum| sum.question);
        let gaps = sample_gaps().into_iter().map(|gap| gap.sentence);
        Ok(Self {
            dice: Dice::new(seed),
            facts: facts(),
            subjects: subjects()?,
            kept_back: sums.chain(gaps).collect(),
        })
    }

    fn page(&mut self) -> String {
        let parts = match self.dice.below(16) {
            0 | 1 => self.portraits(),
            2 | 3 => self.tales(),
            4 | 5 => self.questions(),
            6 | 7 => self.lettered(),
            8 | 9 => self.word_list(),
            10 | 11 => self.work(),
            12 => self.gaps(),
            13 => self.beliefs(),
            _ => self.sums(),
        };
        parts.join(BLANK_LINE)
    }

    /// What the world knows about a few kinds of things.
    fn portraits(&mut self) -> Vec<String> {
        let count = self.dice.between(1, 5);
        (0..count)
            .map(|_| {
                let mut sentences: Vec<String> = if self.dice.below(2) == 0 {
                    let subject = self.dice.pick(&self.facts).subject();
                    let about: Vec<Fact> =
                        self.facts.iter().filter(|fact| fact.subject() == subject).copied().collect();
                    about.iter().map(|fact| fact.told(&mut self.dice)).collect()
                } else {
                    let relation = self.dice.pick(RELATIONS);
                    let statement = *self.dice.pick(relation.statements);
                    (0..relation.pairs.len()).map(|pair| Fact { relation, pair }.fill(statement)).collect()
                };
                self.dice.shuffle(&mut sentences);
                sentences.truncate(5);
                sentences.join(" ")
            })
            .collect()
    }

    /// Somebody's day in one of the towns.
    fn tales(&mut self) -> Vec<String> {
        let count = self.dice.between(1, 3);
        (0..count).map(|_| self.tale()).collect()
    }

    fn tale(&mut self) -> String {
        let (one, two) = self.dice.pair(NAMES);
        let (home, away) = self.dice.pair(&TOWN_PLACES);
        let dice = &mut self.dice;
        let weather = *dice.pick(&["a bright", "a windy", "a rainy", "a frosty", "a quiet"]);
        let errand =
            *dice.pick(&["to visit an aunt", "to see the feast", "to buy a goat", "to hear the fiddlers"]);
        let mut tale = format!(
            "On {weather} morning {one} left {}, which lies {}, and walked to {} {errand}.",
            home.0, home.1, away.0
        );
        let seen = *dice.pick(&self.facts);
        let told = seen.told(dice).trim_end_matches('.').to_owned();
        let asked = seen.asked(dice);
        tale.push_str(&format!(
            " On the way {one} met {two}. \"{asked}\" asked {two}. \"{told},\" said {one}."
        ));
        let close = match dice.below(4) {
            0 => format!("They laughed and walked on together until they reached {}.", away.0),
            1 => format!("{two} nodded, and they shared a loaf under a tree."),
            2 => format!("In the evening {one} was home again in {}, tired and glad.", home.0),
            _ => format!(
                "That night they slept at the inn of {}, and the moon shone through the window.",
                away.0
            ),
        };
        format!("{tale} {close}")
    }

    /// Questions and answers, formatted as ARC's shots in a prompt.
    fn questions(&mut self) -> Vec<String> {
        let count = self.dice.between(3, 26);
        self.dice
            .sample(&self.facts, count)
            .iter()
            .map(|fact| {
                let question = fact.asked(&mut self.dice);
                format!("Question: {question}\nAnswer: {}", fact.object())
            })
            .collect()
    }

    /// Multiple choice questions of one subject, formatted as MMLU's shots in a prompt.
    fn lettered(&mut self) -> Vec<String> {
        let subject = self.dice.pick(&self.subjects);
        let mut entries: Vec<usize> =
            (0..subject.len()).filter(|&entry| !subject.is_kept_back(entry)).collect();
        self.dice.shuffle(&mut entries);
        let title =
            format!("The following are multiple choice questions (with answers) about {}.", subject.spoken());
        let asked = entries.into_iter().map(|entry| {
            let choice = subject.choice(entry, false, &mut self.dice);
            format!("{} {}", choice.prompt(), choice.letter())
        });
        std::iter::once(title).chain(asked).collect()
    }

    /// The words of one subject.
    fn word_list(&mut self) -> Vec<String> {
        let subject = self.dice.pick(&self.subjects);
        let mut entries: Vec<usize> =
            (0..subject.len()).filter(|&entry| !subject.is_kept_back(entry)).collect();
        self.dice.shuffle(&mut entries);
        let sentences: Vec<String> =
            entries.into_iter().map(|entry| subject.sentence(entry, &mut self.dice)).collect();
        let (first, second) = sentences.split_at(sentences.len().min(3));
        vec![first.join(" "), second.join(" ")]
    }

    /// Everyday work, told or advised.
    fn work(&mut self) -> Vec<String> {
        let count = self.dice.between(2, 8);
        self.dice
            .sample(&ACTIVITIES.iter().collect::<Vec<_>>(), count)
            .iter()
            .map(|activity| match self.dice.below(4) {
                0 => activity.advice(),
                _ => activity.story(&mut self.dice),
            })
            .collect()
    }

    /// Sentences whose meaning depends on one name.
    fn gaps(&mut self) -> Vec<String> {
        let count = self.dice.between(3, 10);
        let mut solved = Vec::new();
        while solved.len() < count {
            let schema = self.dice.pick(&SCHEMAS);
            let answer = self.dice.below(2);
            let gap = schema.gap(answer, &mut self.dice);
            if !self.kept_back.contains(&gap.sentence) {
                solved.push(gap.solved());
            }
        }
        solved
    }

    /// Short questions with whole sentences for answers, as TruthfulQA's preamble has them.
    fn beliefs(&mut self) -> Vec<String> {
        let count = self.dice.between(3, 10);
        (0..count)
            .map(|_| {
                if self.dice.below(2) == 0 {
                    let belief = self.dice.pick(&BELIEFS);
                    format!("Q: {}\nA: {}", belief.rephrased, self.dice.pick(belief.right))
                } else {
                    let fact = self.dice.pick(&self.facts);
                    let question = fact.asked(&mut self.dice);
                    format!("Q: {question}\nA: {}", fact.fill(fact.relation.statements[0]))
                }
            })
            .collect()
    }

    /// Worked sums, formatted as GSM8K's shots in a prompt.
    fn sums(&mut self) -> Vec<String> {
        let count = self.dice.between(2, 8);
        let mut worked = Vec::new();
        while worked.len() < count {
            let sum = self.dice.pick(&RECIPES)(&mut self.dice);
            if !self.kept_back.contains(&sum.question) {
                worked.push(format!("Question: {}\nAnswer: {}", sum.question, sum.answer));
            }
        }
        worked
    }
}

//! The words of the 57 subjects: the content of the MMLU samples.

use crate::dice::Dice;
use crate::world::capitalised;

/// The first entries of a subject are its dev rows, the others its test rows.
pub const DEV_ROWS: usize = 5;

/// A subject with its seven entries.
pub struct Subject {
    /// The subject's name, with underscores.
    pub name: &'static str,
    entries: Vec<Entry>,
}

/// A line of the glossary.
enum Entry {
    Word { term: &'static str, meaning: &'static str },
    Question { question: &'static str, choices: [&'static str; 4] },
}

/// A question with four choices.
#[derive(Clone)]
pub struct Choice {
    pub question: String,
    /// The choices, in the order in which they are shown.
    pub choices: Vec<String>,
    /// Index of the right choice.
    pub answer: usize,
}

impl Choice {
    fn new(question: String, right: &str, mut wrong: Vec<String>, dice: &mut Dice) -> Self {
        wrong.truncate(3);
        let answer = dice.below(wrong.len() + 1);
        wrong.insert(answer, right.to_owned());
        Self { question, choices: wrong, answer }
    }

    /// The question with its lettered choices, up to "Answer:".
    pub fn prompt(&self) -> String {
        let lines: String =
            self.choices.iter().zip('A'..).map(|(choice, letter)| format!("{letter}. {choice}\n")).collect();
        format!("{}\n{lines}Answer:", self.question)
    }

    /// The letter of the right choice.
    pub fn letter(&self) -> char {
        (b'A' + self.answer as u8) as char
    }
}

impl Subject {
    /// The subject's name with spaces.
    pub fn spoken(&self) -> String {
        self.name.replace('_', " ")
    }

    /// Number of entries of the subject.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// An entry as a multiple choice question. With `held_back`, as for the samples, the wording is one that
    /// the training text never uses.
    pub fn choice(&self, index: usize, held_back: bool, dice: &mut Dice) -> Choice {
        match &self.entries[index] {
            Entry::Question { question, choices } => {
                let wrong = choices[1..].iter().map(|&choice| choice.to_owned()).collect();
                Choice::new((*question).to_owned(), choices[0], wrong, dice)
            }
            Entry::Word { term, meaning } => {
                let mut others: Vec<_> = self.words().filter(|(other, _)| other != term).collect();
                dice.shuffle(&mut others);
                if held_back && others.len() < 3 {
                    // The subject has few words, but a test row must have four choices.
                    others.push(("ladle", "a deep spoon with a long handle"));
                }
                if dice.below(2) == 0 {
                    let question = if held_back {
                        format!("A pupil reads about {meaning}. Which word belongs on the label?")
                    } else {
                        format!("Which word means {meaning}?")
                    };
                    let wrong = others.iter().map(|(other, _)| (*other).to_owned()).collect();
                    Choice::new(question, term, wrong, dice)
                } else {
                    let question = if held_back {
                        format!("Which of these explains the word \"{term}\" best?")
                    } else {
                        format!("What is meant by \"{term}\"?")
                    };
                    let wrong = others.iter().map(|(_, other)| (*other).to_owned()).collect();
                    Choice::new(question, meaning, wrong, dice)
                }
            }
        }
    }

    /// Whether the entry has only one wording and is one of the test rows.
    pub fn is_kept_back(&self, index: usize) -> bool {
        index >= DEV_ROWS && matches!(self.entries[index], Entry::Question { .. })
    }

    /// An entry as a plain sentence.
    pub fn sentence(&self, index: usize, dice: &mut Dice) -> String {
        match &self.entries[index] {
            Entry::Question { question, choices } => format!("{question} {}.", capitalised(choices[0])),
            Entry::Word { term, meaning } => match dice.below(3) {
                0 => format!("The word \"{term}\" means {meaning}."),
                1 => format!("{}: {meaning}.", capitalised(term)),
                _ => format!("In {} we say \"{term}\" for {meaning}.", self.spoken()),
            },
        }
    }

    fn words(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Word { term, meaning } => Some((*term, *meaning)),
            Entry::Question { .. } => None,
        })
    }
}

/// Every subject, in the order of the glossary.
pub fn subjects() -> Result<Vec<Subject>, String> {
    let mut subjects: Vec<Subject> = Vec::new();
    for line in include_str!("glossary.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            subjects.push(Subject { name, entries: Vec::new() });
            continue;
        }
        let subject = subjects.last_mut().ok_or("the glossary begins without a subject")?;
        let entry = match line.split(" = ").collect::<Vec<_>>()[..] {
            [term, meaning] => Entry::Word { term, meaning },
            [question, a, b, c, d] => Entry::Question { question, choices: [a, b, c, d] },
            _ => return Err(format!("the glossary can't be read at `{line}`")),
        };
        subject.entries.push(entry);
    }
    match subjects.iter().find(|subject| subject.len() != 7) {
        Some(subject) => Err(format!("{} has {} entries, not 7", subject.name, subject.len())),
        None => Ok(subjects),
    }
}

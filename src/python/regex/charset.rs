//! A test of one character, compiled from a literal or a class and the flags that hold there.

use std::sync::LazyLock;

use super::characters::{self, lower, same_upper_case, upper};
use super::syntax::{Category, Flags, Member, Node};
use crate::python::unicode::{Ranges, contains};

/// What case a character is brought to before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Its own.
    None,
    /// ASCII lower case.
    Ascii,
    /// Unicode lower case.
    Unicode,
}

impl Fold {
    /// What the flags ask for.
    pub fn of(flags: Flags) -> Fold {
        match (flags.has(Flags::IGNORE_CASE), flags.has(Flags::ASCII)) {
            (false, _) => Fold::None,
            (true, true) => Fold::Ascii,
            (true, false) => Fold::Unicode,
        }
    }

    /// The character to compare.
    pub fn apply(self, code: u32) -> u32 {
        match self {
            Fold::None => code,
            _ if code < 128 => u32::from((code as u8).to_ascii_lowercase()),
            Fold::Ascii => code,
            Fold::Unicode => lower(code),
        }
    }

    /// Whether the character has another case.
    pub fn is_cased(self, code: u32) -> bool {
        match self {
            Fold::None => false,
            Fold::Ascii => char::from_u32(code).is_some_and(|c| c.is_ascii_alphabetic()),
            Fold::Unicode => lower(code) != code || upper(code) != code,
        }
    }

    /// Whether a character of a range has another case, as far as Python looks: not beyond 16 bits.
    pub fn is_range_cased(self, low: u32, high: u32) -> bool {
        self != Fold::None && (high > 0xffff || !cased(self, low, high).is_empty())
    }
}

/// A set of characters.
#[derive(Debug, Clone)]
pub struct CharSet {
    /// The ASCII characters in it, as bits.
    ascii: u128,
    others: Others,
}

/// Which of the other characters are in a set.
#[derive(Debug, Clone)]
enum Others {
    All,
    Listed(Box<Listed>),
}

#[derive(Debug, Clone)]
struct Listed {
    negated: bool,
    fold: Fold,
    /// Of characters brought to the case.
    ranges: Ranges,
    /// Ranges beyond the 16-bit characters, compared in both cases.
    either_case: Ranges,
    categories: Vec<Category>,
    ascii_only: bool,
}

impl CharSet {
    /// The set of a node that matches one character; `None` for others.
    pub fn of(node: &Node, flags: Flags) -> Option<CharSet> {
        Some(match node {
            Node::Literal(code) => CharSet::listed(false, &[Member::Char(*code)], true, flags),
            Node::NotLiteral(code) => CharSet::listed(true, &[Member::Char(*code)], true, flags),
            Node::Any if flags.has(Flags::DOT_ALL) => CharSet { ascii: u128::MAX, others: Others::All },
            Node::Any => CharSet { ascii: !(1 << b'\n'), others: Others::All },
            Node::Class { negated, members } => CharSet::listed(*negated, members, false, flags),
            _ => return None,
        })
    }

    fn listed(negated: bool, members: &[Member], is_literal: bool, flags: Flags) -> CharSet {
        let fold = Fold::of(flags);
        let mut listed = Listed {
            negated,
            fold,
            ranges: Ranges::new(),
            either_case: Ranges::new(),
            categories: Vec::new(),
            ascii_only: flags.has(Flags::ASCII),
        };
        let mut is_cased = false;
        for member in members {
            is_cased |= listed.add(*member, is_literal);
        }
        // Where nothing has two cases Python compares characters, and categories, as they are.
        if !is_cased {
            listed.fold = Fold::None;
        }
        listed.ranges.sort_unstable();
        listed.ranges = merged(&listed.ranges);
        let bits = (0..128u8).filter(|b| listed.has(char::from(*b)));
        let ascii = bits.fold(0, |all, b| all | 1u128 << b);
        CharSet { ascii, others: Others::Listed(Box::new(listed)) }
    }

    /// Whether it has the character.
    pub fn has(&self, c: char) -> bool {
        match (&self.others, c as u32) {
            (_, code @ ..128) => self.has_ascii(code as u8),
            (Others::All, _) => true,
            (Others::Listed(listed), _) => listed.has(c),
        }
    }

    /// Whether it has the character of a byte below 128.
    pub fn has_ascii(&self, byte: u8) -> bool {
        self.ascii >> (byte & 127) & 1 == 1
    }

    /// Its ASCII characters, as bits.
    pub fn ascii(&self) -> u128 {
        self.ascii
    }
}

impl Listed {
    /// Adds a member, and says whether case matters to it.
    fn add(&mut self, member: Member, is_literal: bool) -> bool {
        let fold = self.fold;
        let mut is_cased = false;
        match member {
            Member::Category(category) => self.categories.push(category),
            Member::Char(code) if fold == Fold::None || is_literal && !fold.is_cased(code) => {
                self.ranges.push((code, code));
            }
            // Python compares what is lower case with the character as it stands in the class.
            Member::Char(code) if code > 0xffff && !is_literal => {
                self.ranges.push((code, code));
                is_cased = true;
            }
            Member::Char(code) => {
                self.add_folded(code);
                is_cased = fold.is_cased(code);
            }
            Member::Range(low, high) if fold == Fold::None => self.ranges.push((low, high)),
            Member::Range(low, high) => {
                // Upper-case ones in it do no harm: what is compared is lower case.
                self.ranges.push((low, high.min(0xffff)));
                for code in cased(fold, low, high) {
                    self.add_folded(*code);
                    is_cased = true;
                }
                if high > 0xffff {
                    self.either_case.push((low, high));
                    is_cased = true;
                }
            }
        }
        is_cased
    }

    fn add_folded(&mut self, code: u32) {
        let folded = self.fold.apply(code);
        self.ranges.push((folded, folded));
        if self.fold == Fold::Unicode {
            self.ranges.extend(same_upper_case(folded).into_iter().flatten().map(|other| (*other, *other)));
        }
    }

    fn has(&self, c: char) -> bool {
        let code = self.fold.apply(c as u32);
        let inside = contains(&self.ranges, code)
            || self
                .either_case
                .iter()
                .any(|(low, high)| (low..=high).contains(&&code) || (low..=high).contains(&&upper(code)))
            || char::from_u32(code).is_some_and(|c| {
                self.categories.iter().any(|category| characters::is_in(*category, c, self.ascii_only))
            });
        inside != self.negated
    }
}

/// Characters of 16 bits that have another case.
static CASED: LazyLock<Vec<u32>> =
    LazyLock::new(|| (0..=0xffff).filter(|code| Fold::Unicode.is_cased(*code)).collect());

/// Those between `low` and `high` to which case matters.
fn cased(fold: Fold, low: u32, high: u32) -> &'static [u32] {
    let high = if fold == Fold::Ascii { high.min(127) } else { high };
    let start = CASED.partition_point(|code| *code < low);
    let end = CASED.partition_point(|code| *code <= high);
    &CASED[start..end.max(start)]
}

/// Sorted ranges, with those that overlap or touch joined.
fn merged(ranges: &[(u32, u32)]) -> Ranges {
    let mut out = Ranges::new();
    for (low, high) in ranges {
        match out.last_mut() {
            Some((_, end)) if *low <= end.saturating_add(1) => *end = (*end).max(*high),
            _ => out.push((*low, *high)),
        }
    }
    out
}

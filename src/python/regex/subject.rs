//! The text that is searched: its characters and places, by byte.

use super::characters::is_word;
use super::charset::CharSet;
use super::program::Position;

/// A text.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a>(pub &'a str);

impl Subject<'_> {
    /// The character that begins there.
    pub fn char_at(&self, at: usize) -> Option<char> {
        match self.0.as_bytes().get(at) {
            Some(byte @ ..128) => Some(char::from(*byte)),
            Some(_) => self.0[at..].chars().next(),
            None => None,
        }
    }

    /// The character that ends there.
    pub fn before(&self, at: usize) -> Option<char> {
        self.0[..at].chars().next_back()
    }

    /// The position behind the character at `at`, if the set has it.
    pub fn behind(&self, set: &CharSet, at: usize) -> Option<usize> {
        match self.0.as_bytes().get(at) {
            Some(byte @ ..128) => set.has_ascii(*byte).then_some(at + 1),
            Some(_) => self.char_at(at).filter(|c| set.has(*c)).map(|c| at + c.len_utf8()),
            None => None,
        }
    }

    /// The position `n` characters before `at`.
    pub fn look_back(&self, n: usize, at: usize) -> Option<usize> {
        match n {
            0 => Some(at),
            n => self.0[..at].char_indices().rev().nth(n - 1).map(|(i, _)| i),
        }
    }

    /// Whether it is such a place.
    pub fn is_at(&self, position: Position, at: usize) -> bool {
        let bytes = self.0.as_bytes();
        match position {
            Position::TextStart => at == 0,
            Position::TextEnd => at == bytes.len(),
            Position::LineStart => at == 0 || bytes[at - 1] == b'\n',
            Position::LineEnd => bytes.get(at).is_none_or(|b| *b == b'\n'),
            Position::End => matches!(bytes[at..], [] | [b'\n']),
            Position::Boundary { negated, ascii } => {
                let is_word = |c: Option<char>| c.is_some_and(|c| is_word(c) && (c.is_ascii() || !ascii));
                let differs = is_word(self.before(at)) != is_word(self.char_at(at));
                // Python finds neither in an empty text.
                !bytes.is_empty() && differs != negated
            }
        }
    }
}

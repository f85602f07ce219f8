//! Patterns of a tokenizer's file, matched within a bound of steps and time.
//!
//! The library tries up to a million ways at each place of a text, and leaves the rest of the text unsplit where that was not enough.
//! Here that is an error, and so is a text that takes far longer than any pattern in use.

use std::time::{Duration, Instant};

use fancy_regex::{Regex, RegexBuilder};
use tokenizers::Offsets;
use tokenizers::tokenizer::pattern::Pattern;

/// Ways to try for one match: in short texts, and in others, as the library does.
const TRIES: [(usize, usize); 2] = [(1024, 100_000), (usize::MAX, 1_000_000)];
/// What a text may take: this, and [`PER_BYTE`] more for each of its bytes. Patterns in use take a thousandth.
const AT_LEAST: Duration = Duration::from_secs(5);
const PER_BYTE: Duration = Duration::from_micros(20);

/// A pattern.
#[derive(Debug)]
pub struct BoundedPattern {
    /// By the longest text that each is for.
    by_length: Vec<(usize, Regex)>,
}

impl BoundedPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The matcher's own.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let compiled = |tries| {
            let regex = RegexBuilder::new(pattern).backtrack_limit(tries).build();
            regex.map_err(|error| format!("the pattern {pattern:?} is none: {error}"))
        };
        let by_length = TRIES.into_iter().map(|(length, tries)| Ok((length, compiled(tries)?)));
        Ok(Self { by_length: by_length.collect::<Result<_, String>>()? })
    }

    fn regex(&self, length: usize) -> Option<&Regex> {
        self.by_length.iter().find(|(most, _)| length <= *most).map(|(_, regex)| regex)
    }
}

impl Pattern for &BoundedPattern {
    fn find_matches(&self, inside: &str) -> tokenizers::Result<Vec<(Offsets, bool)>> {
        let Some(regex) = self.regex(inside.len()).filter(|_| !inside.is_empty()) else {
            return Ok(vec![((0, 0), false)]);
        };
        let begun = Instant::now();
        let most = AT_LEAST + PER_BYTE * u32::try_from(inside.len()).unwrap_or(u32::MAX);
        let mut parts = Vec::new();
        let mut end = 0;
        for found in regex.find_iter(inside) {
            let found =
                found.map_err(|error| format!("the pattern {:?} gives up: {error}", regex.as_str()))?;
            if end != found.start() {
                parts.push(((end, found.start()), false));
            }
            parts.push(((found.start(), found.end()), true));
            end = found.end();
            if begun.elapsed() > most {
                return Err(format!("the pattern {:?} takes more than {most:?}", regex.as_str()).into());
            }
        }
        if end != inside.len() {
            parts.push(((end, inside.len()), false));
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pattern: &str, text: &str) -> Result<Vec<(Offsets, bool)>, String> {
        (&BoundedPattern::new(pattern)?).find_matches(text).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_are_the_librarys() {
        for pattern in [r"\s+(?!\S)|\s+", r"\w+|[^\w\s]+", r"(?=(\d{3})+(?!\d))", " {2,}"] {
            for text in ["", "one  two,   three 1234567 ", "  ", "é 12 345\n\n"] {
                let library = tokenizers::utils::SysRegex::new(pattern).unwrap();
                let expected = (&library).find_matches(text).unwrap();
                assert_eq!(parts(pattern, text), Ok(expected), "{pattern} in {text:?}");
            }
        }
    }

    #[test]
    fn patterns_that_take_forever_are_errors() {
        let text = format!("{}!", "a".repeat(60));
        let fault = parts(r"(?:(?:a|aa)+(?=\d))|(?:a|aa)+(?<=b)", &text).unwrap_err();
        assert!(fault.contains("gives up"), "{fault}");
        assert!(parts("(", "").unwrap_err().contains("the pattern \"(\" is none"));
    }
}

//! The replacement of `re.sub`, with `\1` and `\g<name>`.

use std::collections::HashMap;

use super::characters::is_identifier;
use super::escape::{control, octal};
use super::parser::MAX_GROUPS;
use super::source::{Source, Token, quoted, whole_number};

/// A part of a replacement.
#[derive(Debug, Clone)]
pub enum Piece {
    Text(String),
    /// What the group matched, nothing if it did not.
    Group(usize),
}

/// Reads `replacement` for a pattern with these groups. The error is Python's message.
pub fn parse(replacement: &str, groups: usize, names: &HashMap<String, usize>) -> Result<Vec<Piece>, String> {
    let mut source = Source::new(replacement);
    let read = pieces(&mut source, groups, names);
    source.whole(read)
}

fn pieces(source: &mut Source, groups: usize, names: &HashMap<String, usize>) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    while let Some(token) = source.get() {
        let c = match token {
            Token::Plain(c) => {
                text.push(c);
                continue;
            }
            Token::Escaped(c) => c,
        };
        let (group, back) = match c {
            'g' => named(source, names)?,
            '0'..='9' => {
                let mut digits = format!("\\{c}");
                if let Some(code) = octal_escape(source, &mut digits)? {
                    text.extend(char::from_u32(code));
                    continue;
                }
                (digits[1..].parse().unwrap_or(usize::MAX), digits.len() - 1)
            }
            c => {
                match control(c) {
                    Some(c) => text.push(c),
                    None if c.is_ascii_alphabetic() => {
                        return Err(source.error(&format!("bad escape \\{c}"), 2));
                    }
                    None => text.extend(['\\', c]),
                }
                continue;
            }
        };
        if group >= groups {
            return Err(source.error(&format!("invalid group reference {group}"), back));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Group(group));
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The rest of a number, and its value if it is octal: with a zero first, or of three digits.
fn octal_escape(source: &mut Source, digits: &mut String) -> Result<Option<u32>, String> {
    if digits.ends_with('0') {
        source.digits(2, 8, digits);
        return octal(source, digits).map(Some);
    }
    source.digits(1, 10, digits);
    if digits.len() == 3 && digits[1..].chars().all(|c| c.is_digit(8)) {
        source.digits(1, 8, digits);
    }
    match digits.len() {
        4 => octal(source, digits).map(Some),
        _ => Ok(None),
    }
}

/// A group in angle brackets, and the length of what names it.
fn named(source: &mut Source, names: &HashMap<String, usize>) -> Result<(usize, usize), String> {
    if !source.take('<') {
        return Err(source.error("missing <", 0));
    }
    let name = source.until('>', "group name")?;
    let back = name.chars().count() + 1;
    if is_identifier(&name) {
        return match names.get(&name) {
            Some(group) => Ok((*group, back)),
            None => Err(format!("unknown group name {}", quoted(&name))),
        };
    }
    match whole_number(&name) {
        None => Err(source.error(&format!("bad character in group name {}", quoted(&name)), back)),
        Some(group) if group >= MAX_GROUPS => {
            Err(source.error(&format!("invalid group reference {group}"), back))
        }
        Some(group) => Ok((group, back)),
    }
}

//! Escapes and classes: `\d`, `\x41`, `[^a-z]`.

use super::source::{Source, Token};
use super::syntax::{Category, CategoryKind, Member, Node};

/// What an escape means inside a class, and outside where it does not depend on the groups.
fn category(c: char) -> Option<Category> {
    let kind = match c.to_ascii_lowercase() {
        'd' => CategoryKind::Digit,
        's' => CategoryKind::Space,
        'w' => CategoryKind::Word,
        _ => return None,
    };
    Some(Category { kind, negated: c.is_ascii_uppercase() })
}

/// The control character of `\n` and the like, as also replacements know them.
pub fn control(c: char) -> Option<char> {
    Some(match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        _ => return None,
    })
}

/// The character of an escape that the token begins, unless it is octal.
pub fn character(source: &mut Source, c: char) -> Result<u32, String> {
    let mut text = format!("\\{c}");
    let digits = match c {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        'N' => {
            let start = source.tell() - 2;
            if !source.take('{') {
                return Err(source.error("missing {", 0));
            }
            source.until('}', "character name")?;
            return Err(source
                .error_at("characters by name, \\N{...}, are not supported: write it as \\u....", start));
        }
        c if c.is_ascii_alphanumeric() => return Err(source.error(&format!("bad escape {text}"), 2)),
        c => return Ok(c as u32),
    };
    source.digits(digits, 16, &mut text);
    if text.len() != digits + 2 {
        return Err(source.error(&format!("incomplete escape {text}"), text.len()));
    }
    match u32::from_str_radix(&text[2..], 16) {
        Ok(code) if code <= char::MAX as u32 => Ok(code),
        _ => Err(source.error(&format!("bad escape {text}"), text.len())),
    }
}

/// The value of an octal escape, at most 0o377.
pub fn octal(source: &Source, text: &str) -> Result<u32, String> {
    match u32::from_str_radix(&text[1..], 8) {
        Ok(code) if code <= 0o377 => Ok(code),
        _ => {
            let message = format!("octal escape value {text} outside of range 0-0o377");
            Err(source.error(&message, text.len()))
        }
    }
}

/// An escape outside of a class, unless it is a place or a reference.
pub fn outside(source: &mut Source, c: char) -> Result<Node, String> {
    if let Some(category) = category(c) {
        return Ok(Node::Class { negated: false, members: vec![Member::Category(category)] });
    }
    match control(c) {
        Some(c) => Ok(Node::Literal(c as u32)),
        None => Ok(Node::Literal(character(source, c)?)),
    }
}

fn inside(source: &mut Source, c: char) -> Result<Member, String> {
    if let Some(category) = category(c) {
        return Ok(Member::Category(category));
    }
    if let Some(c) = control(c) {
        return Ok(Member::Char(c as u32));
    }
    if c.is_digit(8) {
        let mut text = format!("\\{c}");
        source.digits(2, 8, &mut text);
        return Ok(Member::Char(octal(source, &text)?));
    }
    Ok(Member::Char(character(source, c)?))
}

fn member(source: &mut Source, token: Token) -> Result<Member, String> {
    match token {
        Token::Plain(c) => Ok(Member::Char(c as u32)),
        Token::Escaped(c) => inside(source, c),
    }
}

/// A class, behind its bracket. A bracket in it, `&&`, `--`, `~~` and `||` are characters like others.
pub fn class(source: &mut Source) -> Result<Node, String> {
    let start = source.tell() - 1;
    let unterminated = |source: &Source| source.error_at("unterminated character set", start);
    let negated = source.take('^');
    let mut members = Vec::new();
    loop {
        let Some(token) = source.get() else { return Err(unterminated(source)) };
        if token == Token::Plain(']') && !members.is_empty() {
            break;
        }
        let first = member(source, token)?;
        if !source.take('-') {
            members.push(first);
            continue;
        }
        let Some(end) = source.get() else { return Err(unterminated(source)) };
        if end == Token::Plain(']') {
            members.extend([first, Member::Char('-' as u32)]);
            break;
        }
        match (first, member(source, end)?) {
            (Member::Char(low), Member::Char(high)) if low <= high => members.push(Member::Range(low, high)),
            _ => {
                let message = format!("bad character range {}-{}", token.text(), end.text());
                return Err(source.error(&message, token.len() + 1 + end.len()));
            }
        }
    }
    Ok(match (members.as_slice(), negated) {
        ([Member::Char(first), rest @ ..], _) if rest.iter().all(|m| *m == Member::Char(*first)) => {
            if negated { Node::NotLiteral(*first) } else { Node::Literal(*first) }
        }
        _ => Node::Class { negated, members },
    })
}

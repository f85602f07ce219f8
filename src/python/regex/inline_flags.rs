//! `(?i)` and `(?i-s:...)`.

use super::characters::is_letter;
use super::source::{Source, Token};
use super::syntax::Flags;

/// What the letters behind `(?` say.
#[derive(Debug, Clone, Copy)]
pub enum InlineFlags {
    /// Set for the entire pattern.
    Pattern(Flags),
    /// Changed for the group that follows.
    Group { added: Flags, deleted: Flags },
}

/// Whether Python knows the letter.
pub fn is_flag(c: char) -> bool {
    c == 'L' || Flags::of(c).is_some()
}

/// Reads flags from their first letter, or the `-` before it, to `)` or `:`.
pub fn inline_flags(source: &mut Source, first: char) -> Result<InlineFlags, String> {
    let types = Flags::ASCII.with(Flags::UNICODE);
    let mut added = Flags::default();
    let mut c = first;
    while c != '-' {
        let Some(flag) = Flags::of(c) else {
            return Err(source.error("bad inline flags: cannot use 'L' flag with a str pattern", 0));
        };
        added = added.with(flag);
        if flag.has(types) && added.has(types.without(flag)) {
            return Err(source.error("bad inline flags: flags 'a', 'u' and 'L' are incompatible", 0));
        }
        match letter(source, "missing -, : or )", &[')', '-', ':'])? {
            ')' => return Ok(InlineFlags::Pattern(added)),
            ':' => return scoped(source, added, Flags::default()),
            next => c = next,
        }
    }
    if added.has(Flags::TEMPLATE) {
        return Err(source.error("bad inline flags: cannot turn on global flag", 1));
    }
    let mut deleted = Flags::default();
    c = letter(source, "missing flag", &[])?;
    loop {
        match Flags::of(c) {
            Some(flag) if !flag.has(types) => deleted = deleted.with(flag),
            _ => return Err(source.error("bad inline flags: cannot turn off flags 'a', 'u' and 'L'", 0)),
        }
        match letter(source, "missing :", &[':'])? {
            ':' => return scoped(source, added, deleted),
            next => c = next,
        }
    }
}

fn scoped(source: &Source, added: Flags, deleted: Flags) -> Result<InlineFlags, String> {
    let bad = |what: &str| Err(source.error(&format!("bad inline flags: {what}"), 1));
    if added.has(Flags::TEMPLATE) {
        return bad("cannot turn on global flag");
    }
    if deleted.has(Flags::TEMPLATE) {
        return bad("cannot turn off global flag");
    }
    if added.has(deleted) {
        return bad("flag turned on and off");
    }
    Ok(InlineFlags::Group { added, deleted })
}

fn letter(source: &mut Source, missing: &str, ends: &[char]) -> Result<char, String> {
    match source.get() {
        None => Err(source.error(missing, 0)),
        Some(Token::Plain(c)) if ends.contains(&c) || is_flag(c) => Ok(c),
        Some(Token::Plain(c)) if is_letter(c) => Err(source.error("unknown flag", 1)),
        Some(token) => Err(source.error(missing, token.len())),
    }
}

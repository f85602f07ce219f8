//! Python's `'..' % values`, which minijinja lacks.
//!
//! minijinja's `%` is for numbers only and cannot be overloaded, so a string literal followed by `%` is
//! rewritten before the template is compiled: `'%s of %s' % (a, b)` becomes the same literal with a filter
//! that takes the operand as its argument.

use std::borrow::Cow;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, State, Value};

/// The filter's name, which no template would use.
pub const FILTER: &str = "_percent";

/// Formats with a tuple of values, a dict of named ones, or one value.
pub fn apply(state: &mut State, format: &Value, operand: &Value) -> Result<Value, Error> {
    let mut arguments = vec![format.clone()];
    match operand.kind() {
        _ if operand.is_tuple() => arguments.extend(operand.try_iter()?),
        ValueKind::Map => {
            let mut named = Vec::new();
            for key in operand.try_iter()? {
                named.push((key.to_string(), operand.get_item(&key)?));
            }
            arguments.push(Kwargs::from_iter(named).into());
        }
        _ => arguments.push(operand.clone()),
    }
    state.apply_filter("format", &arguments)
}

/// `source` with every such `%` replaced by the filter.
pub fn rewrite(source: &str) -> Cow<'_, str> {
    let bytes = source.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut closes: Vec<usize> = Vec::new();
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"{#" => at = find(source, at, "#}"),
            b"{{" | b"{%" => {
                let raw = source[at + 2..].trim_start_matches(['-', '+']).trim_start().starts_with("raw");
                if raw && bytes[at + 1] == b'%' {
                    at = find(source, at, "endraw");
                    continue;
                }
                at += 2;
                let mut after_text = false;
                while at < bytes.len() && !matches!(&bytes[at..bytes.len().min(at + 2)], b"}}" | b"%}") {
                    if closes.last().is_some_and(|close| *close <= at) {
                        closes.pop();
                        out.push_str(&source[copied..at]);
                        out.push(')');
                        copied = at;
                    }
                    match bytes[at] {
                        b'\'' | b'"' => {
                            at = text_end(bytes, at);
                            after_text = true;
                        }
                        b'%' if after_text => {
                            out.push_str(&source[copied..at]);
                            out.push_str(&format!("|{FILTER}("));
                            at += 1;
                            copied = at;
                            closes.push(operand_end(bytes, at));
                            after_text = false;
                        }
                        byte => {
                            after_text &= byte.is_ascii_whitespace();
                            at += 1;
                        }
                    }
                }
                for _ in closes.drain(..) {
                    out.push_str(&source[copied..at]);
                    out.push(')');
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(source);
    }
    out.push_str(&source[copied..]);
    Cow::Owned(out)
}

fn find(source: &str, from: usize, what: &str) -> usize {
    source[from + 2..].find(what).map_or(source.len(), |at| from + 2 + at + what.len())
}

/// The index after the string literal that begins at `at`.
fn text_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != bytes[at] {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// The index after the closing bracket that matches the one at `at`.
fn bracket_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' | b'"' => {
                at = text_end(bytes, at);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

fn skip(bytes: &[u8], mut at: usize, accept: fn(&u8) -> bool) -> usize {
    while bytes.get(at).is_some_and(accept) {
        at += 1;
    }
    at
}

/// The index after the operand that begins at `at`: one value with its attributes, items, calls and filters.
fn operand_end(bytes: &[u8], at: usize) -> usize {
    let space = |at| skip(bytes, at, u8::is_ascii_whitespace);
    let word = |at| skip(bytes, at, |b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'.' || *b >= 0x80);
    let begin = skip(bytes, space(at), |b| matches!(b, b'-' | b'+'));
    let mut end = match bytes.get(begin) {
        Some(b'\'' | b'"') => text_end(bytes, begin),
        Some(b'(' | b'[' | b'{') => bracket_end(bytes, begin),
        _ => word(begin),
    };
    loop {
        let next = space(end);
        end = match bytes.get(next) {
            Some(b'(' | b'[') => bracket_end(bytes, next),
            Some(b'.') => word(next + 1),
            Some(b'|') => word(space(next + 1)),
            _ => return end,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn only_texts_before_a_percent_sign_are_rewritten() {
        for (source, expected) in [
            ("{{ '%s' % x }}", "{{ '%s' |_percent( x) }}"),
            ("{{ '%s-%s' % (a, b[0]) ~ 'c' }}", "{{ '%s-%s' |_percent( (a, b[0])) ~ 'c' }}"),
            ("{{ ('%d' % d.n|int)|upper }}", "{{ ('%d' |_percent( d.n|int))|upper }}"),
            ("{{ '%s' % ('%d' % n) }}", "{{ '%s' |_percent( ('%d' |_percent( n))) }}"),
            ("{{ '%s' % '%d' % n }}", "{{ '%s' |_percent( '%d') |_percent( n) }}"),
            ("{% if 'a' %}100 % of it{% endif %}", "{% if 'a' %}100 % of it{% endif %}"),
            ("{{ 7 % 2 }} '%s' % x", "{{ 7 % 2 }} '%s' % x"),
            ("{% raw %}{{ '%s' % x }}{% endraw %}", "{% raw %}{{ '%s' % x }}{% endraw %}"),
            ("{# '%s' % x #}", "{# '%s' % x #}"),
            ("{{ 'open", "{{ 'open"),
            ("{{ '%s' %", "{{ '%s' |_percent()"),
        ] {
            assert_eq!(rewrite(source), expected, "{source}");
        }
    }
}

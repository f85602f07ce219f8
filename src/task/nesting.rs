//! How deep a template may nest.
//!
//! minijinja limits how deep brackets and blocks nest, but not what its parser handles in a loop: `a.b.b.b`,
//! `a + a + a` and `{% elif %}` become trees as deep as they are long, and walking or dropping them overflows
//! the stack.

/// Maximum operators in one pair of `{{ }}` or `{% %}`, and maximum branches in one template. Prompts have a
/// few dozen.
const MAX_OPERATORS: usize = 1000;

/// The line on which `source` nests too deep, and a description; `None` if it does not.
pub fn too_deep(source: &str) -> Option<(usize, String)> {
    let bytes = source.as_bytes();
    let (mut at, mut branches) = (0, 0);
    while at + 1 < bytes.len() {
        if bytes[at] != b'{' || !matches!(bytes[at + 1], b'{' | b'%') {
            at += 1;
            continue;
        }
        at += 2;
        let (mut operators, mut word) = (0, at);
        while at < bytes.len() && !matches!(&bytes[at..bytes.len().min(at + 2)], b"}}" | b"%}") {
            match bytes[at] {
                // An unclosed quote skips nothing; it counts as an operator.
                quote @ (b'\'' | b'"') => match text_length(&bytes[at..], quote) {
                    Some(length) => at += length - 1,
                    None => operators += 1,
                },
                b'|' | b'.' | b'[' | b'(' | b'+' | b'-' | b'*' | b'/' | b'%' | b'~' | b'<' | b'>' | b'='
                | b'!' => {
                    operators += 1;
                }
                _ => {}
            }
            let in_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if at < bytes.len() && !in_word(bytes[at]) {
                word = at + 1;
            } else if bytes.get(at + 1).is_none_or(|&next| !in_word(next)) {
                match bytes.get(word..=at) {
                    Some(b"not" | b"and" | b"or" | b"if" | b"in" | b"is") => operators += 1,
                    Some(b"elif") => branches += 1,
                    _ => {}
                }
            }
            at += 1;
            if operators > MAX_OPERATORS || branches > MAX_OPERATORS {
                let line =
                    source.as_bytes()[..at.min(bytes.len())].iter().filter(|&&b| b == b'\n').count() + 1;
                return Some((
                    line,
                    format!("more than {MAX_OPERATORS} operators or branches in one expression"),
                ));
            }
        }
    }
    None
}

/// Length in bytes of the string literal at the start of `bytes`, quotes included.
fn text_length(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

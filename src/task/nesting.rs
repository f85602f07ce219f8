//! How deep a template may nest.
//!
//! The engine limits brackets and blocks, but not what its parser does in a loop: `a.b.b.b`, `a + a + a` and `{% elif %}` become
//! trees as deep as they are long, and the walk over them, or their end, overflows the stack.

/// Operators in one pair of `{{ }}` or `{% %}`, and branches in one template. Prompts have some tens.
const MOST: usize = 1000;

/// What nests too deep in `source`, and the line on which it does.
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
                // A quote that is never closed ends nothing.
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
            if operators > MOST || branches > MOST {
                let line =
                    source.as_bytes()[..at.min(bytes.len())].iter().filter(|&&b| b == b'\n').count() + 1;
                return Some((line, format!("more than {MOST} operators or branches in one expression")));
            }
        }
    }
    None
}

/// Bytes of the text literal at the beginning, quotes included.
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

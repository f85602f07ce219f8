//! White space, digits and printability as Python's `str` defines them.

use std::sync::LazyLock;

use super::unicode::{Ranges, contains, ranges};

static DECIMAL: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{Nd}"));
static UNPRINTABLE: LazyLock<Ranges> = LazyLock::new(|| ranges(r"[\p{C}\p{Z}]"));

/// `str.isspace` for one character: Unicode white space, and the four ASCII separators that Rust does not count.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.rstrip()`.
pub fn rstrip(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `str.lstrip()`.
pub fn lstrip(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// `str.isdecimal` for one character.
pub fn is_decimal(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric() && contains(&DECIMAL, c as u32))
}

/// `str.isdigit` for one character: decimals, and superscript, subscript, circled, parenthesised and
/// full-stop digits.
pub fn is_digit(c: char) -> bool {
    let mark = matches!(c,
        '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}'
        | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}');
    mark || is_decimal(c)
}

/// `str.isprintable` for one character.
pub fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        c => c.is_alphanumeric() || !contains(&UNPRINTABLE, c as u32),
    }
}

/// `str.isdigit()` for ASCII digits, the only ones that `ast.literal_eval` can read.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

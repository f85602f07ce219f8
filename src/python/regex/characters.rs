//! Characters as Python's `str` methods see them: letters, digits, cases, names.

use std::sync::LazyLock;

use super::syntax::{Category, CategoryKind};
use crate::python::text::{is_decimal, is_space};
use crate::python::unicode::{Ranges, contains, ranges};

static ALPHANUMERIC: LazyLock<Ranges> = LazyLock::new(|| ranges(r"[\p{L}\p{N}]"));
static NAME_START: LazyLock<Ranges> = LazyLock::new(|| ranges(r"[_\p{XID_Start}]"));
static NAME_CONTINUE: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{XID_Continue}"));

/// `c.isalnum() or c == '_'`. Combining marks are none, which other engines count as parts of words.
pub fn is_word(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || c == '_',
        false => contains(&ALPHANUMERIC, c as u32),
    }
}

/// `c.isalpha()`.
pub fn is_letter(c: char) -> bool {
    is_word(c) && c != '_' && !c.is_numeric()
}

/// Whether the category has the character; only ASCII's if `ascii`.
pub fn is_in(category: Category, c: char, ascii: bool) -> bool {
    let known = c.is_ascii() || !ascii;
    let inside = known
        && match category.kind {
            CategoryKind::Digit => is_decimal(c),
            CategoryKind::Space if ascii => matches!(c, ' ' | '\t'..='\r'),
            CategoryKind::Space => is_space(c),
            CategoryKind::Word => is_word(c),
        };
    inside != category.negated
}

/// `str.isidentifier`.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| contains(&NAME_START, c as u32))
        && chars.all(|c| contains(&NAME_CONTINUE, c as u32))
}

/// The lower-case character, the first if there are several.
pub fn lower(code: u32) -> u32 {
    char::from_u32(code).and_then(|c| c.to_lowercase().next()).map_or(code, |c| c as u32)
}

/// The upper-case character, the first if there are several.
pub fn upper(code: u32) -> u32 {
    char::from_u32(code).and_then(|c| c.to_uppercase().next()).map_or(code, |c| c as u32)
}

/// Lower-case characters that share their upper-case one: to `re.IGNORECASE` they are the same.
const SAME_UPPER_CASE: [&[u32]; 24] = [
    &[0x69, 0x131],
    &[0x73, 0x17f],
    &[0xb5, 0x3bc],
    &[0x345, 0x3b9, 0x1fbe],
    &[0x390, 0x1fd3],
    &[0x3b0, 0x1fe3],
    &[0x3b2, 0x3d0],
    &[0x3b5, 0x3f5],
    &[0x3b8, 0x3d1],
    &[0x3ba, 0x3f0],
    &[0x3c0, 0x3d6],
    &[0x3c1, 0x3f1],
    &[0x3c2, 0x3c3],
    &[0x3c6, 0x3d5],
    &[0x432, 0x1c80],
    &[0x434, 0x1c81],
    &[0x43e, 0x1c82],
    &[0x441, 0x1c83],
    &[0x442, 0x1c84, 0x1c85],
    &[0x44a, 0x1c86],
    &[0x463, 0x1c87],
    &[0x1c88, 0xa64b],
    &[0x1e61, 0x1e9b],
    &[0xfb05, 0xfb06],
];

/// The lower-case characters that are the same as `code`, itself included, if there are others.
pub fn same_upper_case(code: u32) -> Option<&'static [u32]> {
    SAME_UPPER_CASE.iter().find(|group| group.contains(&code)).copied()
}

//! Characters as Python's `str` methods see them: letters, digits, cases, names.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::syntax::{Category, CategoryKind};
use crate::python::text::{is_decimal, is_space};
use crate::python::unicode::{Ranges, contains, ranges};

static ALPHANUMERIC: LazyLock<Ranges> = LazyLock::new(|| ranges(r"[\p{L}\p{N}]"));
static NAME_START: LazyLock<Ranges> = LazyLock::new(|| ranges(r"[_\p{XID_Start}]"));
static NAME_CONTINUE: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{XID_Continue}"));

/// `c.isalnum() or c == '_'`. Combining marks are none, which other engines count as parts of words.
pub fn is_word(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || c == '_' } else { contains(&ALPHANUMERIC, c as u32) }
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

/// Lower-case characters that share their upper-case form: to `re.IGNORECASE` they are the same.
static SAME_UPPER_CASE: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let mut groups: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for c in '\u{41}'..='\u{1ffff}' {
        let upper: String = c.to_uppercase().collect();
        if c.to_lowercase().eq([c]) && !upper.chars().eq([c]) {
            groups.entry(upper).or_default().push(c as u32);
        }
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
});

/// The lower-case characters that are the same as `code`, itself included, if there are others.
pub fn same_upper_case(code: u32) -> Option<&'static [u32]> {
    SAME_UPPER_CASE.iter().find(|group| group.contains(&code)).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::same_upper_case;

    #[test]
    fn characters_with_one_upper_case_are_the_same() {
        assert_eq!(same_upper_case('k' as u32), None);
        for group in
            ["i\u{131}", "s\u{17f}", "\u{345}\u{3b9}\u{1fbe}", "\u{442}\u{1c84}\u{1c85}", "\u{fb05}\u{fb06}"]
        {
            let codes: Vec<u32> = group.chars().map(u32::from).collect();
            assert_eq!(same_upper_case(codes[0]), Some(codes.as_slice()), "{group}");
        }
    }
}

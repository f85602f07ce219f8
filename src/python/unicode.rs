//! Sets of characters by their Unicode properties.

use regex_syntax::hir::{Class, HirKind};

/// Inclusive ranges of code points, in order.
pub type Ranges = Vec<(u32, u32)>;

/// The characters of a class in the notation of Rust's `regex`.
pub fn ranges(class: &str) -> Ranges {
    match regex_syntax::parse(class).map(|parsed| parsed.into_kind()) {
        Ok(HirKind::Class(Class::Unicode(class))) => {
            class.iter().map(|range| (range.start() as u32, range.end() as u32)).collect()
        }
        _ => Ranges::new(),
    }
}

/// Whether one of the ranges, which are in order, has the code point.
pub fn contains(ranges: &[(u32, u32)], code: u32) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= code);
    after > 0 && code <= ranges[after - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_known() {
        for class in [r"[\p{L}\p{N}]", r"\p{Nd}", r"[\p{C}\p{Z}]", r"[_\p{XID_Start}]", r"\p{XID_Continue}"] {
            assert!(!ranges(class).is_empty(), "{class}");
        }
        assert!(contains(&ranges(r"\p{Nd}"), '٣' as u32) && !contains(&ranges(r"\p{Nd}"), 'x' as u32));
    }
}

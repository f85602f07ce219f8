//! Where a text may be cut so that both parts have the tokens that they have together.
//!
//! The continuation of a request is what the tokens of context and continuation have beyond those of the context. Encoding the
//! whole again for each choice costs the context each time; from a cut inside the context on, it costs the last line.

use serde_json::Value;

/// Rules under which a text may be cut before a line feed that no white space precedes.
///
/// Two kinds of tokenizer allow it, and are recognised by their own description:
/// * byte-level BPE whose words are GPT-2's (`ByteLevel` with its regex, digits set apart or not): no word holds both a line
///   feed and something else than white space, and no rule looks back;
/// * BPE over the whole text (SentencePiece's kind) whose vocabulary has the line feed only by itself, or as a byte: no merge
///   crosses it.
///
/// For any other tokenizer there is no cut, and everything is encoded whole.
pub fn has_barrier(description: &Value) -> bool {
    let model = &description["model"];
    if model["type"] != "BPE" || !model["dropout"].is_null() {
        return false;
    }
    let added = description["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    if added.iter().any(|token| {
        // A stripping token swallows white space beside it, and one with a line feed may lie across the cut.
        let holds = token["content"].as_str().is_none_or(|content| content.contains('\n'));
        holds || token["lstrip"] == true || token["rstrip"] == true || token["normalized"] == true
    }) {
        return false;
    }
    let words = &description["pre_tokenizer"];
    match words["type"].as_str() {
        Some("ByteLevel") => words["use_regex"] == true && description["normalizer"].is_null(),
        Some("Sequence") => {
            let steps = words["pretokenizers"].as_array().map_or(&[][..], Vec::as_slice);
            let kinds: Vec<&str> = steps.iter().filter_map(|step| step["type"].as_str()).collect();
            kinds == ["Digits", "ByteLevel"]
                && steps[1]["use_regex"] == true
                && description["normalizer"].is_null()
        }
        None if words.is_null() => {
            keeps_line_feeds(&description["normalizer"]) && line_feed_stands_alone(model)
        }
        _ => false,
    }
}

/// Whether a normaliser changes nothing around line feeds.
fn keeps_line_feeds(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        None => normalizer.is_null(),
        Some("Prepend") => true,
        Some("Replace") => {
            let pattern = normalizer["pattern"]["String"].as_str();
            let content = normalizer["content"].as_str();
            pattern.is_some_and(|p| p == " ") && content.is_some_and(|c| !c.contains('\n'))
        }
        Some("Sequence") => {
            normalizer["normalizers"].as_array().is_some_and(|steps| steps.iter().all(keeps_line_feeds))
        }
        Some(_) => false,
    }
}

fn line_feed_stands_alone(model: &Value) -> bool {
    let Some(vocabulary) = model["vocab"].as_object() else { return false };
    let byte = "<0x0A>";
    let known =
        vocabulary.contains_key("\n") || model["byte_fallback"] == true && vocabulary.contains_key(byte);
    known
        && vocabulary
            .keys()
            .all(|piece| (piece == "\n" || !piece.contains('\n')) && (piece == byte || !piece.contains(byte)))
}

/// The last place before `end` where `text` may be cut: before a line feed behind something that is no white space.
pub fn last_cut(text: &str, end: usize) -> Option<usize> {
    let mut until = end;
    while let Some(at) = text.get(..until)?.rfind('\n') {
        if text[..at].chars().next_back().is_some_and(|c| !crate::python::text::is_space(c)) {
            return Some(at);
        }
        until = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::last_cut;

    #[test]
    fn cuts_are_before_the_first_line_feed_of_a_run() {
        assert_eq!(last_cut("a\n\nb\nc", 6), Some(4));
        assert_eq!(last_cut("a\n\nb\nc", 4), Some(1));
        assert_eq!(last_cut("a \n b", 5), None);
        assert_eq!(last_cut("\n\nb", 3), None);
    }
}

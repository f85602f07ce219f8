//! Where a text may be cut so that its parts have, one after the other, the tokens that they have together.
//!
//! A cut stands before a space or a line feed that comes after something else than white space. Between two cuts there is
//! hardly more than a word, and words recur: encoded once, they need not be encoded again.

use serde_json::Value;

use crate::python::text::is_space;

/// Stands before a part that is encoded by itself, since tokenizers may put a mark before the first word of all.
pub const BEFORE: &str = "a";

/// How Llama 3's tokenizer.json divides a text in words.
pub const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Qwen2's does.
pub const QWEN2_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Where the texts of a tokenizer may be cut.
///
/// Tokenizers that allow it are recognised by their own description; for any other there is no cut, and everything is encoded
/// whole:
/// * byte-level BPE whose words are GPT-2's (digits set apart or not): a word holds white space at its beginning or is white
///   space altogether, and no rule looks back, so a cut is where a word begins whatever stands before or after;
/// * byte-level BPE whose words are Llama 3's or Qwen2's: the same, but for line feeds, which their words may end with;
/// * BPE over the whole text (SentencePiece's kind): no merge crosses a line feed that the vocabulary has only by itself, or as
///   a byte, nor the mark of a space that the vocabulary has at the beginning of pieces alone.
///
/// Tokens that are found in the raw text lie across no cut, but change what is beside them: a part that holds one has no tokens
/// of its own, see [`holds_added`](Self::holds_added).
pub struct Cuts {
    /// Before spaces.
    spaces: bool,
    /// Before line feeds.
    line_feeds: bool,
    /// What a space becomes. Behind one that stands in the text itself, a space joins it.
    mark: Option<char>,
    /// Tokens that are found in the raw text.
    added: Vec<String>,
    /// The bytes that those begin with.
    begin_added: Vec<u8>,
}

impl Cuts {
    /// What a tokenizer's description, its `tokenizer.json`, allows.
    pub fn of(description: &Value) -> Option<Self> {
        let model = &description["model"];
        let unset = |key: &str| model[key].as_str().is_none_or(str::is_empty);
        let same_everywhere = unset("continuing_subword_prefix") && unset("end_of_word_suffix");
        if model["type"] != "BPE" || !model["dropout"].is_null() || !same_everywhere {
            return None;
        }
        let mut cuts =
            Self { spaces: false, line_feeds: false, mark: None, added: Vec::new(), begin_added: Vec::new() };
        let normalizer = &description["normalizer"];
        match words(&description["pre_tokenizer"])? {
            Words::Gpt2 if normalizer.is_null() => (cuts.spaces, cuts.line_feeds) = (true, true),
            // A space and what is beside it are composed to nothing else.
            Words::Later if normalizer.is_null() || normalizer["type"] == "NFC" => cuts.spaces = true,
            // A text that is a piece would be one token, a part of it perhaps not.
            Words::None { space } if model["ignore_merges"] != true => {
                let space = match space {
                    Some(space) if normalizer.is_null() => space.to_string(),
                    Some(_) => return None,
                    None => space_becomes(normalizer)?,
                };
                cuts.mark = one_char(&space);
                cuts.spaces = cuts.mark.is_some_and(|mark| begins_pieces(model, mark));
                cuts.line_feeds = line_feed_stands_alone(model);
            }
            _ => return None,
        }
        cuts.take_added(description["added_tokens"].as_array().map_or(&[][..], Vec::as_slice))?;
        (cuts.spaces || cuts.line_feeds).then_some(cuts)
    }

    fn take_added(&mut self, tokens: &[Value]) -> Option<()> {
        for token in tokens {
            let content = token["content"].as_str().filter(|content| !content.is_empty())?;
            // A stripping token swallows white space beside it.
            if content == BEFORE
                || token["lstrip"] == true
                || token["rstrip"] == true
                || token["normalized"] == true
            {
                return None;
            }
            // One with such a character may lie across a cut.
            self.spaces &= !content.contains(' ');
            self.line_feeds &= !content.contains('\n');
            self.added.push(content.to_string());
            self.begin_added.extend(content.bytes().next());
        }
        self.begin_added.sort_unstable();
        self.begin_added.dedup();
        Some(())
    }

    /// Whether one of the tokens that are found in the raw text may be in this one.
    pub fn holds_added(&self, text: &str) -> bool {
        text.bytes().any(|byte| self.begin_added.contains(&byte))
            && self.added.iter().any(|content| text.contains(content.as_str()))
    }

    /// Whether `text` may be cut before its byte `at`.
    fn is_cut(&self, text: &str, at: usize) -> bool {
        let here = match text.as_bytes()[at] {
            b' ' => self.spaces,
            b'\n' => self.line_feeds,
            _ => false,
        };
        here && match text[..at].chars().next_back() {
            Some(before) => !is_space(before) && Some(before) != self.mark,
            None => false,
        }
    }

    /// The last place at which `text` may be cut.
    pub fn last(&self, text: &str) -> Option<usize> {
        (1..text.len()).rev().find(|&at| self.is_cut(text, at))
    }

    /// `text` from cut to cut: all but the first part begin with a space or a line feed.
    pub fn parts<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let mut from = Some(0);
        std::iter::from_fn(move || {
            let begin = from?;
            let next = (begin + 1..text.len()).find(|&at| self.is_cut(text, at));
            from = next;
            Some(&text[begin..next.unwrap_or(text.len())])
        })
    }
}

/// How a text is divided in words before it is merged.
enum Words<'d> {
    /// Not at all, or before spaces; with what a space becomes where that is said here.
    None { space: Option<&'d str> },
    /// As GPT-2 does.
    Gpt2,
    /// As Llama 3 or Qwen2 do.
    Later,
}

fn words(pre_tokenizer: &Value) -> Option<Words<'_>> {
    // A prefix space would come before every part that a token in the raw text, or a digit, sets apart.
    let byte_level = |step: &Value| step["type"] == "ByteLevel" && step["add_prefix_space"] == false;
    let gpt2 = |step: &Value| byte_level(step) && step["use_regex"] == true;
    let later = |step: &Value| {
        let pattern = step["pattern"]["Regex"].as_str();
        step["type"] == "Split"
            && step["behavior"] == "Isolated"
            && step["invert"] == false
            && pattern.is_some_and(|pattern| [LLAMA3_WORDS, QWEN2_WORDS].contains(&pattern))
    };
    match pre_tokenizer["type"].as_str() {
        None => pre_tokenizer.is_null().then_some(Words::None { space: None }),
        // What it puts before a text comes before the first part alone.
        Some("Metaspace") => Some(Words::None { space: Some(pre_tokenizer["replacement"].as_str()?) }),
        Some("ByteLevel") => gpt2(pre_tokenizer).then_some(Words::Gpt2),
        Some("Sequence") => match pre_tokenizer["pretokenizers"].as_array()?.as_slice() {
            [digits, bytes] if digits["type"] == "Digits" && gpt2(bytes) => Some(Words::Gpt2),
            [split, bytes] if later(split) && byte_level(bytes) && bytes["use_regex"] == false => {
                Some(Words::Later)
            }
            _ => None,
        },
        Some(_) => None,
    }
}

/// What a normaliser makes of a space, if it changes nothing else behind the beginning of a text.
fn space_becomes(normalizer: &Value) -> Option<String> {
    let steps = match normalizer["type"].as_str() {
        None if normalizer.is_null() => &[][..],
        Some("Sequence") => normalizer["normalizers"].as_array()?.as_slice(),
        _ => std::slice::from_ref(normalizer),
    };
    let mut space = " ".to_string();
    for step in steps {
        match step["type"].as_str()? {
            "Prepend" => {}
            "Replace" if step["pattern"]["String"] == " " && space == " " => {
                space = step["content"].as_str().filter(|content| !content.contains('\n'))?.to_string();
            }
            _ => return None,
        }
    }
    Some(space)
}

fn one_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// Whether `mark` is a piece, and is in others at their beginning only: then nothing before it is merged with it.
fn begins_pieces(model: &Value, mark: char) -> bool {
    let Some(vocabulary) = model["vocab"].as_object() else { return false };
    vocabulary.contains_key(mark.encode_utf8(&mut [0; 4]))
        && vocabulary.keys().all(|piece| !piece.trim_start_matches(mark).contains(mark))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sentence_piece(vocab: &[&str]) -> Value {
        let vocab: serde_json::Map<String, Value> = vocab.iter().map(|p| (p.to_string(), json!(0))).collect();
        json!({
            "added_tokens": [{"content": "</s>", "lstrip": false, "rstrip": false, "normalized": false}],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]},
            "pre_tokenizer": null,
            "model": {"type": "BPE", "dropout": null, "byte_fallback": true, "vocab": vocab},
        })
    }

    fn parts(description: &Value, text: &str) -> Vec<String> {
        Cuts::of(description).map_or(vec![text.into()], |cuts| cuts.parts(text).map(Into::into).collect())
    }

    #[test]
    fn cuts_are_before_the_first_character_of_white_space() {
        let cuts = sentence_piece(&["▁", "▁▁", "▁a", "<0x0A>"]);
        assert_eq!(parts(&cuts, "a\n\nb  c d"), ["a", "\n\nb", "  c", " d"]);
        assert_eq!(parts(&cuts, " \n b"), [" \n b"]);
        assert_eq!(parts(&cuts, "é b▁ c▁\n"), ["é", " b▁ c▁\n"]);
        assert_eq!(parts(&cuts, ""), [""]);
        let cuts = Cuts::of(&cuts).unwrap();
        assert_eq!(cuts.last("a\n\nb  c"), Some(4));
        assert_eq!(cuts.last("\n b"), None);
        assert!(cuts.holds_added(" x</s>") && !cuts.holds_added(" </ s>"));
    }

    #[test]
    fn there_is_no_cut_that_a_piece_crosses() {
        assert_eq!(parts(&sentence_piece(&["▁", "a▁b", "<0x0A>"]), "a\nb c"), ["a", "\nb c"]);
        assert_eq!(parts(&sentence_piece(&["▁", "a\nb", "<0x0A>"]), "a\nb c"), ["a\nb", " c"]);
        assert_eq!(parts(&sentence_piece(&["a"]), "a\nb c"), ["a\nb c"]);
    }

    #[test]
    fn descriptions_with_rules_that_look_further_have_no_cut() {
        let known = sentence_piece(&["▁", "<0x0A>"]);
        assert!(Cuts::of(&known).is_some());
        for (place, value) in [
            ("/model/type", json!("Unigram")),
            ("/model/dropout", json!(0.1)),
            ("/model/end_of_word_suffix", json!("</w>")),
            ("/model/continuing_subword_prefix", json!("##")),
            ("/model/ignore_merges", json!(true)),
            ("/normalizer", json!({"type": "NFKC"})),
            ("/pre_tokenizer", json!({"type": "Whitespace"})),
            ("/added_tokens/0/rstrip", json!(true)),
            ("/added_tokens/0/content", json!("a")),
        ] {
            let mut other = known.clone();
            match other.pointer_mut(place) {
                Some(old) => *old = value,
                None => other["model"][place.trim_start_matches("/model/")] = value,
            }
            assert!(Cuts::of(&other).is_none(), "{place}");
        }
    }
}

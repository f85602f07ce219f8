//! Where a text may be cut so that its parts, encoded one by one, have the tokens of the entire text.
//!
//! A cut is before a space or a line feed that follows a character other than white space. A part between two
//! cuts is little more than a word, and words recur: each needs to be encoded only once.

use aho_corasick::AhoCorasick;
use serde_json::Value;

use crate::python::text::is_space;

/// Prepended to a part that is encoded separately, since tokenizers may put a mark before the first word of a
/// text.
pub const BEFORE: &str = "a";

/// How Llama 3's tokenizer.json splits a text into words.
pub const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Qwen2's tokenizer.json splits a text into words.
pub const QWEN2_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Where a tokenizer's texts may be cut.
///
/// Tokenizers that allow cuts are recognised by their `tokenizer.json`; for any other there is no cut, and
/// texts are encoded in one piece:
/// * byte-level BPE whose words are GPT-2's (digits split off or not): a word has white space only at its
///   beginning or is white space only, and no rule looks back, so a word begins at a cut whatever is before
///   and after it;
/// * byte-level BPE whose words are Llama 3's or Qwen2's: the same, except for line feeds, with which their
///   words may end;
/// * BPE over the entire text (as in SentencePiece): no merge crosses a line feed that the vocabulary has
///   only as a piece of its own or as a byte, nor the mark of a space that the vocabulary has only at the
///   beginning of pieces.
///
/// Added tokens, which are matched in the raw text, span no cut, but they change the tokens beside them: a
/// part with one cannot be encoded separately, see [`holds_added`](Self::holds_added).
pub struct Cuts {
    /// Before spaces.
    spaces: bool,
    /// Before line feeds.
    line_feeds: bool,
    /// What a space becomes. No cut follows a mark in the text itself, since a space merges with it.
    mark: Option<char>,
    /// Added tokens, which are matched in the raw text: all at once, since there may be many.
    added: Option<AhoCorasick>,
}

impl Cuts {
    /// The cuts that a tokenizer's description, its `tokenizer.json`, allows.
    pub fn of(description: &Value) -> Option<Self> {
        let model = &description["model"];
        let unset = |key: &str| model[key].as_str().is_none_or(str::is_empty);
        let same_everywhere = unset("continuing_subword_prefix") && unset("end_of_word_suffix");
        if model["type"] != "BPE" || !model["dropout"].is_null() || !same_everywhere {
            return None;
        }
        let mut cuts = Self { spaces: false, line_feeds: false, mark: None, added: None };
        let normalizer = &description["normalizer"];
        match words(&description["pre_tokenizer"])? {
            Words::Gpt2 if normalizer.is_null() => (cuts.spaces, cuts.line_feeds) = (true, true),
            // NFC composes a space with none of its neighbours.
            Words::Later if normalizer.is_null() || normalizer["type"] == "NFC" => cuts.spaces = true,
            // With `ignore_merges` a text that is a piece would be one token, but a part of it perhaps not.
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
        let mut added = Vec::with_capacity(tokens.len());
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
            // A token with such a character may span a cut.
            self.spaces &= !content.contains(' ');
            self.line_feeds &= !content.contains('\n');
            added.push(content);
        }
        if !added.is_empty() {
            self.added = Some(AhoCorasick::new(added).ok()?);
        }
        Some(())
    }

    /// Whether `text` contains an added token.
    pub fn holds_added(&self, text: &str) -> bool {
        self.added.as_ref().is_some_and(|added| added.is_match(text))
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

    /// Byte offset of the last cut in `text`.
    pub fn last(&self, text: &str) -> Option<usize> {
        (1..text.len()).rev().find(|&at| self.is_cut(text, at))
    }

    /// The parts of `text` between cuts: all but the first begin with a space or a line feed.
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

/// How a text is split into words before merges.
enum Words<'d> {
    /// Not at all, or before spaces; with what a space becomes if the pre-tokenizer defines that.
    None { space: Option<&'d str> },
    /// As GPT-2 does.
    Gpt2,
    /// As Llama 3 or Qwen2 do.
    Later,
}

fn words(pre_tokenizer: &Value) -> Option<Words<'_>> {
    // A prefix space would be put before every part that an added token or a digit splits off.
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
        // What it prepends comes before the first part only.
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

/// What a normaliser replaces a space with, if it changes nothing else after the beginning of a text.
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

/// Whether `mark` is a piece, and is in others only at their beginning: then nothing before it is merged with
/// it.
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

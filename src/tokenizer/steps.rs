//! What the steps of a tokenizer may do to a text, read off their description before any of them runs.
//!
//! A tokenizer's file may chain steps that each double a text: forty of them take all memory there is. So each step is given the most
//! by which it can make a text grow, and the product of all is bounded.

use serde_json::Value;

use super::charsmap;

/// Most that a text may grow by before it is tokens. T5's and ALBERT's steps reach some hundreds, in the worst case that Unicode has.
const MOST_GROWTH: f64 = 1024.0;
/// The same for the text of tokens when they are decoded.
const MOST_DECODED_GROWTH: f64 = 16.0;
/// Most bytes that steps put before a text, and tokens that they put around it.
const MOST_PREFIX: f64 = 1024.0;
const MOST_AROUND: usize = 1024;
/// Most steps of one kind.
const MOST_STEPS: usize = 64;
/// Longest pattern, and of all patterns together. The longest in use has 1,400 bytes: it lists letters.
const PATTERN: usize = 4 << 10;
const PATTERNS: usize = 16 << 10;
/// Most repetitions that a pattern may count. The matcher's program has a copy for each.
const REPETITIONS: usize = 1000;

/// How a text may grow: `n` bytes become at most `factor * n + prefix`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    factor: f64,
    prefix: f64,
    /// Whether the text may be in parts, each of which gets a prefix.
    in_parts: bool,
}

impl Growth {
    const NONE: Self = Self { factor: 1.0, prefix: 0.0, in_parts: false };
    /// That of the steps that are made for a GGUF file: a mark for each space, or two characters for a byte after NFC.
    pub const OF_GGUF: Self = Self { factor: 6.0, prefix: 9.0, in_parts: false };

    /// Most bytes that a text of `bytes` becomes. Between added tokens each part of it has the prefix.
    pub fn of(self, bytes: usize) -> u64 {
        (bytes as f64 * (self.factor + self.prefix / 4.0) + self.prefix) as u64
    }

    fn times(&mut self, factor: f64) {
        self.factor *= factor.max(1.0);
        self.prefix *= factor.max(1.0);
    }

    fn put_before(&mut self, bytes: usize) {
        let bytes = bytes as f64;
        if self.in_parts { self.factor *= 1.0 + bytes } else { self.prefix += bytes }
    }
}

/// Checks the steps that come before the model.
///
/// # Errors
/// What is wrong with them.
pub fn check_encoding(normalizer: &mut Value, pre_tokenizer: &mut Value) -> Result<Growth, String> {
    let mut steps = Steps { growth: Growth::NONE, count: 0, patterns: 0 };
    steps.walk(normalizer, "normalizers", "normalizer", &mut Steps::normalizer)?;
    steps.count = 0;
    steps.walk(pre_tokenizer, "pretokenizers", "pre_tokenizer", &mut Steps::pre_tokenizer)?;
    steps.bounded(MOST_GROWTH)
}

/// Checks the steps from tokens to text.
///
/// # Errors
/// What is wrong with them.
pub fn check_decoding(decoder: &mut Value) -> Result<(), String> {
    let mut steps = Steps { growth: Growth::NONE, count: 0, patterns: 0 };
    steps.walk(decoder, "decoders", "decoder", &mut Steps::decoder)?;
    steps.bounded(MOST_DECODED_GROWTH).map(drop)
}

/// Checks what is put around a text's tokens. The library does not look at the types of these steps, so neither is it done here.
///
/// # Errors
/// What is wrong with them.
pub fn check_post_processor(value: &Value) -> Result<(), String> {
    let mut count = Counted { steps: 0, around: 0, copies: 1 };
    count.walk(value)
}

struct Counted {
    steps: usize,
    around: usize,
    /// How often the text itself is in the result.
    copies: usize,
}

impl Counted {
    fn walk(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Object(entries) => {
                self.steps += 1;
                for (key, value) in entries {
                    match (key.as_str(), value) {
                        ("ids", Value::Array(ids)) => self.around += ids.len(),
                        ("single", Value::Array(items)) => {
                            self.around += items.len();
                            let texts = items.iter().filter(|item| item.get("Sequence").is_some()).count();
                            self.copies = self.copies.saturating_mul(texts.max(1));
                        }
                        ("single" | "pair", Value::String(text)) => {
                            self.around += text.len();
                            self.copies = self.copies.saturating_mul(text.matches("$").count().max(1));
                        }
                        _ => {}
                    }
                    self.walk(value)?;
                }
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.walk(item))?,
            _ => {}
        }
        if self.around > MOST_AROUND || self.steps > MOST_STEPS * 16 {
            return Err(format!("`post_processor` puts more than {MOST_AROUND} tokens around a text"));
        }
        if self.copies > 2 {
            return Err("`post_processor` repeats a text".into());
        }
        Ok(())
    }
}

struct Steps {
    growth: Growth,
    count: usize,
    /// Bytes of all patterns.
    patterns: usize,
}

type Check<'c> = &'c mut dyn FnMut(&mut Steps, &mut Value, &str) -> Result<(), String>;

impl Steps {
    fn bounded(self, most: f64) -> Result<Growth, String> {
        let Growth { factor, prefix, .. } = self.growth;
        if factor > most {
            return Err(format!(
                "its steps may make a text {factor:.0} times as long, expected {most} times at most"
            ));
        }
        if prefix > MOST_PREFIX {
            return Err(format!(
                "its steps put {prefix:.0} bytes before a text, expected {MOST_PREFIX} at most"
            ));
        }
        Ok(self.growth)
    }

    /// Checks each step, in the order in which they run.
    fn walk(&mut self, value: &mut Value, list: &str, name: &str, check: Check<'_>) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        self.count += 1;
        if self.count > MOST_STEPS {
            return Err(format!("`{name}` has more than {MOST_STEPS} steps"));
        }
        // The library guesses the kind of a step without a type, or of an unknown one, by its keys.
        let kind =
            value["type"].as_str().ok_or_else(|| format!("`{name}` has a step without `type`"))?.to_string();
        if kind != "Sequence" {
            return check(self, value, &kind).map_err(|what| format!("`{name}`: {kind}: {what}"));
        }
        let steps = value.get_mut(list).and_then(Value::as_array_mut);
        let steps = steps.ok_or_else(|| format!("`{name}`: a Sequence without `{list}`"))?;
        steps.iter_mut().try_for_each(|step| {
            if step.is_null() {
                return Err(format!("`{name}` has a step that is null"));
            }
            self.walk(step, list, name, &mut *check)
        })
    }

    /// Factors are those of <https://unicode.org/reports/tr15/#Normalization_Forms_Stability> and its list of expansions.
    fn normalizer(&mut self, step: &mut Value, kind: &str) -> Result<(), String> {
        match kind {
            "Strip" | "StripAccents" | "Nmt" => {}
            "NFC" | "NFD" => self.growth.times(3.0),
            "NFKC" | "NFKD" => self.growth.times(11.0),
            "Lowercase" => self.growth.times(1.5),
            "ByteLevel" => self.growth.times(2.0),
            "BertNormalizer" | "Bert" => {
                // By this name the library takes it for what it is, whatever keys it has.
                step["type"] = "Bert".into();
                self.growth.times(12.0);
            }
            "Precompiled" => {
                let map = step["precompiled_charsmap"].as_str().ok_or("`precompiled_charsmap` is no text")?;
                self.growth.times(charsmap::growth(map)?);
            }
            "Prepend" => self.growth.put_before(text(step, "prepend")?.len()),
            "Replace" => self.replace(step)?,
            _ => return Err("no such kind of step".into()),
        }
        Ok(())
    }

    fn pre_tokenizer(&mut self, step: &mut Value, kind: &str) -> Result<(), String> {
        match kind {
            "ByteLevel" => {
                if step["add_prefix_space"] != false {
                    self.growth.put_before(1);
                }
                self.growth.times(2.0);
            }
            "Metaspace" => {
                let mark = text(step, "replacement")?.len();
                self.growth.times(mark as f64);
                if step["prepend_scheme"] != "never" {
                    self.growth.put_before(mark);
                }
            }
            "Split" => drop(self.pattern(step)?),
            "FixedLength" => {
                if step.get("length").is_some_and(|length| length.as_u64().is_none_or(|length| length == 0)) {
                    return Err(format!("parts of length {}", step["length"]));
                }
            }
            "CharDelimiterSplit" => {
                // The library finds it by its keys.
                if step.as_object().is_none_or(|entries| entries.len() != 2) {
                    return Err("expected the keys `type` and `delimiter`".into());
                }
            }
            "BertPreTokenizer" | "Delimiter" | "Whitespace" | "WhitespaceSplit" | "Punctuation"
            | "Digits" | "UnicodeScripts" => {}
            _ => return Err("no such kind of step".into()),
        }
        self.growth.in_parts = true;
        Ok(())
    }

    fn decoder(&mut self, step: &mut Value, kind: &str) -> Result<(), String> {
        match kind {
            "ByteFallback" | "Fuse" | "Metaspace" | "Strip" => {}
            // What is no UTF-8 becomes a character of 3 bytes.
            "ByteLevel" => self.growth.times(3.0),
            // A space before each token.
            "WordPiece" => self.growth.times(2.0),
            "BPEDecoder" => self.empty(text(step, "suffix")?)?,
            "CTC" => {
                self.empty(text(step, "word_delimiter_token")?)?;
                self.empty(text(step, "pad_token")?)?;
            }
            "Replace" => self.replace(step)?,
            _ => return Err("no such kind of step".into()),
        }
        Ok(())
    }

    fn empty(&self, replaced: &str) -> Result<(), String> {
        if replaced.is_empty() { Err("replaces an empty text".into()) } else { Ok(()) }
    }

    fn replace(&mut self, step: &mut Value) -> Result<(), String> {
        let least = self.pattern(step)?;
        if step["pattern"].as_object().is_some_and(|pattern| pattern.values().any(|pattern| pattern == "")) {
            return Err("the pattern is empty".into());
        }
        let content = text(step, "content")?.len() as f64;
        match least {
            0 => self.growth.times(1.0 + content),
            least => self.growth.times(content / least as f64),
        }
        Ok(())
    }

    /// Checks a pattern; returns the least number of bytes that it matches, as far as that is known.
    fn pattern(&mut self, step: &Value) -> Result<usize, String> {
        let pattern = step["pattern"].as_object().filter(|pattern| pattern.len() == 1);
        let pattern = pattern.and_then(|pattern| pattern.iter().next());
        let (kind, pattern) = pattern
            .and_then(|(kind, pattern)| Some((kind.as_str(), pattern.as_str()?)))
            .ok_or("`pattern` is no object with one text")?;
        self.patterns += pattern.len();
        if pattern.len() > PATTERN || self.patterns > PATTERNS {
            return Err(format!(
                "patterns of {} bytes, expected {PATTERN} at most, and {PATTERNS} together",
                self.patterns.max(pattern.len())
            ));
        }
        if kind == "String" {
            return Ok(pattern.len());
        }
        let count = repetitions(pattern);
        if count > REPETITIONS {
            return Err(format!("the pattern counts to {count}, expected {REPETITIONS} at most"));
        }
        Ok(0)
    }
}

fn text<'v>(step: &'v Value, key: &str) -> Result<&'v str, String> {
    step[key].as_str().ok_or_else(|| format!("`{key}` is no text"))
}

/// The product of all counts in a pattern, such as 12 for `a{3}b{2,4}`: as if each stood in the others.
fn repetitions(pattern: &str) -> usize {
    let mut product = 1usize;
    for part in pattern.split('{').skip(1) {
        let Some((counts, _)) = part.split_once('}') else { continue };
        if !counts.bytes().all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b' ') {
            continue;
        }
        let counts = counts.split(',').map(str::trim).filter(|count| !count.is_empty());
        let most = counts.map(|count| count.parse::<usize>().unwrap_or(usize::MAX)).max();
        product = product.saturating_mul(most.unwrap_or(1).max(1));
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn replace(from: &str, to: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": from}, "content": to})
    }

    fn chain(list: &str, step: Value, count: usize) -> Value {
        json!({"type": "Sequence", list: vec![step; count]})
    }

    fn encoding(mut normalizer: Value, mut pre_tokenizer: Value) -> Result<Growth, String> {
        check_encoding(&mut normalizer, &mut pre_tokenizer)
    }

    #[test]
    fn what_tokenizers_do_is_allowed() {
        let llama = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"),
        ]});
        assert_eq!(encoding(llama, Value::Null), Ok(Growth { factor: 3.0, prefix: 9.0, in_parts: false }));
        let albert = json!({"type": "Sequence", "normalizers": [
            replace("``", "\""), {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]});
        assert!(
            encoding(albert, json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}))
                .is_ok()
        );
        let bert = json!({"type": "BertNormalizer", "lowercase": true});
        assert!(encoding(bert, json!({"type": "BertPreTokenizer"})).is_ok());
        let mut llama = json!({"type": "Sequence", "decoders": [
            replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]});
        assert_eq!(check_decoding(&mut llama), Ok(()));
        // Each character is a word.
        let letters =
            json!({"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": false});
        assert!(encoding(Value::Null, letters).is_ok());
        let template = json!({"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
        ], "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}});
        let several = json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]});
        assert_eq!(check_post_processor(&several), Ok(()));
    }

    #[test]
    fn chains_that_multiply_a_text_are_refused() {
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false});
        for (normalizer, pre_tokenizer, expected) in [
            (chain("normalizers", replace("e", "ee"), 40), Value::Null, "1099511627776 times as long"),
            (chain("normalizers", json!({"type": "NFKD"}), 4), Value::Null, "14641 times as long"),
            (
                chain("normalizers", chain("normalizers", replace("e", "ee"), 8), 8),
                Value::Null,
                "more than 64 steps",
            ),
            (json!({"type": "Prepend", "prepend": "x".repeat(2000)}), Value::Null, "2000 bytes before"),
            (replace("e", &"e".repeat(2000)), Value::Null, "2000 times"),
            (Value::Null, chain("pretokenizers", byte_level, 40), "times as long"),
            (
                Value::Null,
                chain("pretokenizers", json!({"type": "Metaspace", "replacement": "▁"}), 9),
                "times as long",
            ),
            (chain("normalizers", Value::Null, 1), Value::Null, "a step that is null"),
            (json!({"prepend": "x"}), Value::Null, "a step without `type`"),
            (json!({"type": "Prepended", "prepend": "x"}), Value::Null, "Prepended: no such kind"),
            (json!({"type": "Sequence"}), Value::Null, "without `normalizers`"),
            (replace("", "x"), Value::Null, "the pattern is empty"),
            (Value::Null, json!({"type": "FixedLength", "length": 0}), "parts of length 0"),
            (
                Value::Null,
                json!({"type": "CharDelimiterSplit", "replacement": "x", "delimiter": "y"}),
                "expected the keys",
            ),
            (Value::Null, json!({"type": "Split", "pattern": {"Regex": "(a{100}){100}"}}), "counts to 10000"),
            (
                Value::Null,
                json!({"type": "Split", "pattern": {"Regex": "x".repeat(5000)}}),
                "patterns of 5000 bytes",
            ),
            (Value::Null, json!({"type": "Split", "pattern": {"Regex": 1}}), "no object with one text"),
        ] {
            let found = encoding(normalizer, pre_tokenizer).unwrap_err();
            assert!(found.contains(expected), "{found}, expected {expected}");
        }
    }

    #[test]
    fn decoders_and_processors_that_multiply_a_text_are_refused() {
        for (decoder, expected) in [
            (chain("decoders", replace(" ", "  "), 5), "32 times as long"),
            (json!({"type": "BPEDecoder", "suffix": ""}), "replaces an empty text"),
            (
                json!({"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": ""}),
                "replaces an empty text",
            ),
            (json!({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "y".repeat(20)}), "21 times"),
        ] {
            let found = check_decoding(&mut decoder.clone()).unwrap_err();
            assert!(found.contains(expected), "{found}, expected {expected}");
        }
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let twice = json!({"single": [text, text]});
        assert!(
            check_post_processor(&json!({"processors": [twice, twice]})).unwrap_err().contains("repeats")
        );
        let many = json!({"special_tokens": {"x": {"ids": vec![1; 2000]}}});
        assert!(check_post_processor(&many).unwrap_err().contains("more than 1024 tokens"));
    }

    #[test]
    fn counts_of_patterns() {
        for (pattern, expected) in [
            (r"\p{N}{1,3}| ?", 3),
            (" {2,}", 2),
            ("a{3}b{2,4}", 12),
            (r"\{x{,5}", 5),
            ("a{99999999999999999999}", usize::MAX),
        ] {
            assert_eq!(repetitions(pattern), expected, "{pattern}");
        }
    }
}

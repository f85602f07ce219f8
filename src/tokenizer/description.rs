//! A `tokenizer.json`, checked before the library makes anything of it.
//!
//! The library believes what it reads: it allocates by it, and panics where it contradicts itself. What is checked here is also what
//! the library gets, so that a key that stands twice cannot be read in two ways.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::{AddedToken, ModelWrapper, PostProcessorWrapper, TokenizerImpl};

use super::guarded::{Guarded, guard};
use super::pipeline::{Decoding, Normalizing, Splitting};
use super::steps::{check_decoding, check_encoding, check_post_processor};
use crate::bounds::Claim;

/// Most tokens of a vocabulary, and its largest id. The largest in use have a million.
pub const MOST_TOKENS: usize = 1 << 21;
pub const LARGEST_ID: u64 = (1 << 24) - 1;
/// Longest token, in bytes. The longest in use are runs of white space, of some hundred.
pub const LONGEST_TOKEN: usize = 4096;
/// Longest piece of a Unigram model, which the library keeps in a tree that is as deep as a piece is long.
const LONGEST_PIECE: usize = 1024;
/// Most added tokens, and all of their bytes. Models of speech have 65,000.
pub const MOST_ADDED: usize = 200_000;
pub const ADDED_BYTES: usize = 8 << 20;
/// Most characters of a word that WordPiece looks up: it tries each part of it. Its own default is 100.
const LONGEST_WORD: u64 = 1000;
/// Longest mark of a piece's place in a word.
const LONGEST_MARK: usize = 256;
/// Bytes of memory for each value of the file, while it is read; for each byte; and for each byte of a Unigram's pieces.
const BYTES_PER_VALUE: u64 = 300;
const BYTES_PER_BYTE: u64 = 6;
const BYTES_PER_PIECE_BYTE: u64 = 300;

/// A tokenizer, and whether its file asks for other tokens each time (BPE's dropout), which it does not get.
pub struct Read {
    pub tokenizer: Guarded,
    pub had_dropout: bool,
}

/// Makes a tokenizer of a `tokenizer.json`.
///
/// # Errors
/// What is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Read, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let _claim = claim_json(text)?;
    let mut file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if !file.is_object() {
        return Err("not an object".into());
    }
    if file.get("version").is_some_and(|version| version != "1.0") {
        return Err(format!("`version` is {}, expected \"1.0\"", file["version"]));
    }
    for key in ["truncation", "padding"] {
        // Settings of an earlier use: scoring never truncates or pads.
        if file.get(key).is_some_and(|settings| !settings.is_null() && !settings.is_object()) {
            return Err(format!("`{key}` is {}, expected an object", file[key]));
        }
    }
    let mut part = |key: &str| file.get_mut(key).map(Value::take).unwrap_or_default();
    let [mut normalizer, mut pre_tokenizer, mut decoder] =
        ["normalizer", "pre_tokenizer", "decoder"].map(&mut part);
    let growth = check_encoding(&mut normalizer, &mut pre_tokenizer)?;
    check_decoding(&mut decoder)?;
    let post_processor = part("post_processor");
    check_post_processor(&post_processor)?;
    let added = added_tokens(part("added_tokens"))?;
    // Tokens are normalised when they are added.
    let added_bytes: usize = added.iter().map(|token| token.content.len()).sum();
    let _added = Claim::of(growth.of(added_bytes).saturating_mul(8))
        .map_err(|no_room| format!("its added tokens may take {no_room}"))?;
    let mut model = part("model");
    let pieces = check_model(&model)?;
    let memory = pieces as u64 * BYTES_PER_PIECE_BYTE;
    let _pieces = Claim::of(memory).map_err(|no_room| format!("its pieces take {no_room}"))?;
    let dropout = model.get_mut("dropout").map(Value::take).unwrap_or_default();
    if !dropout.is_null() && !dropout.is_number() {
        return Err(format!("`dropout` is {dropout}, expected a number"));
    }

    let library = guard(|| {
        let model: ModelWrapper = part_of(model, "model")?;
        let mut library =
            TokenizerImpl::<_, Normalizing, Splitting, PostProcessorWrapper, Decoding>::new(model);
        library.with_normalizer(Normalizing::read(&normalizer, "normalizers")?)?;
        library.with_pre_tokenizer(Splitting::read(&pre_tokenizer, "pretokenizers")?);
        library
            .with_post_processor(part_of::<Option<PostProcessorWrapper>>(post_processor, "post_processor")?);
        library.with_decoder(Decoding::read(&decoder, "decoders")?);
        library.add_tokens(added)?;
        Ok(library)
    })
    .map_err(|what| what.to_lowercase())?;
    Ok(Read { tokenizer: Guarded::new(library, growth), had_dropout: !dropout.is_null() })
}

/// Claims the memory of a JSON text's values.
///
/// # Errors
/// There is not enough.
pub fn claim_json(text: &str) -> Result<Claim, String> {
    let values = count_values(text);
    let memory = values * BYTES_PER_VALUE + text.len() as u64 * BYTES_PER_BYTE;
    Claim::of(memory).map_err(|no_room| format!("its {values} values take {no_room}"))
}

/// A message of the JSON reader, with its place before it.
pub fn located(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("{}:{}: {what}", error.line(), error.column())
}

fn part_of<T: DeserializeOwned>(value: Value, key: &str) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("`{key}`: {error}"))
}

/// At least as many values as a JSON text has.
fn count_values(text: &str) -> u64 {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b':' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

fn added_tokens(value: Value) -> Result<Vec<AddedToken>, String> {
    let items = match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        other => return Err(format!("`added_tokens` is {}, expected a list", kind(&other))),
    };
    check_added_count(items.len())?;
    let tokens = items.into_iter().map(|item| {
        if item["id"].as_u64().is_none_or(|id| id > LARGEST_ID) {
            return Err(format!("an added token has the id {}, expected 0 to {LARGEST_ID}", item["id"]));
        }
        part_of(item, "added_tokens")
    });
    let tokens = tokens.collect::<Result<Vec<AddedToken>, String>>()?;
    check_added(&tokens)?;
    Ok(tokens)
}

fn check_added_count(count: usize) -> Result<(), String> {
    if count > MOST_ADDED {
        return Err(format!("{count} added tokens, expected {MOST_ADDED} at most"));
    }
    Ok(())
}

/// Checks tokens that are to be added, those of the file and those of the files beside it.
///
/// # Errors
/// There are too many, or they are too long.
pub fn check_added(tokens: &[AddedToken]) -> Result<(), String> {
    check_added_count(tokens.len())?;
    tokens.iter().try_for_each(|token| check_length(&token.content, LONGEST_TOKEN))?;
    let bytes: usize = tokens.iter().map(|token| token.content.len()).sum();
    if bytes > ADDED_BYTES {
        return Err(format!("added tokens of {bytes} bytes, expected {ADDED_BYTES} at most"));
    }
    Ok(())
}

/// Checks the length of a token.
///
/// # Errors
/// It is too long.
pub fn check_length(token: &str, most: usize) -> Result<(), String> {
    if token.len() > most {
        return Err(format!("a token has {} bytes, expected {most} at most", token.len()));
    }
    Ok(())
}

/// Checks the number of tokens, and that of merges, of which each makes a token.
///
/// # Errors
/// There are too many.
pub fn check_count(count: usize, what: &str) -> Result<(), String> {
    if count > MOST_TOKENS {
        return Err(format!("{count} {what}, expected {MOST_TOKENS} at most"));
    }
    Ok(())
}

/// Checks a model; returns the bytes of pieces that the library keeps in a tree.
fn check_model(model: &Value) -> Result<usize, String> {
    if !model.is_object() {
        return Err(format!("`model` is {}, expected an object", kind(model)));
    }
    for key in ["unk_token", "continuing_subword_prefix", "end_of_word_suffix"] {
        if model[key].as_str().is_some_and(|mark| mark.len() > LONGEST_MARK) {
            return Err(format!("`{key}` has more than {LONGEST_MARK} bytes"));
        }
    }
    if let Some(longest) = model.get("max_input_chars_per_word")
        && longest.as_u64().is_none_or(|longest| longest > LONGEST_WORD)
    {
        return Err(format!("`max_input_chars_per_word` is {longest}, expected {LONGEST_WORD} at most"));
    }
    if let Some(merges) = model["merges"].as_array() {
        check_count(merges.len(), "merges")?;
    }
    match &model["vocab"] {
        Value::Object(vocabulary) => {
            check_count(vocabulary.len(), "tokens")?;
            for (token, id) in vocabulary {
                check_length(token, LONGEST_TOKEN)?;
                if id.as_u64().is_none_or(|id| id > LARGEST_ID) {
                    return Err(format!("token {token:?} has the id {id}, expected 0 to {LARGEST_ID}"));
                }
            }
            Ok(0)
        }
        Value::Array(pieces) => {
            check_count(pieces.len(), "tokens")?;
            let mut bytes = 0;
            for piece in pieces {
                let (text, score) = (piece[0].as_str(), piece[1].as_f64());
                let (Some(text), Some(score)) = (text, score) else {
                    return Err("`vocab` has an entry that is no pair of a text and a score".into());
                };
                check_length(text, LONGEST_PIECE)?;
                if !score.is_finite() {
                    return Err(format!("token {text:?} has the score {score}"));
                }
                bytes += text.len();
            }
            Ok(bytes)
        }
        _ => Ok(0),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "missing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_without_reading_them() {
        for (text, least) in [("1", 1), ("[1,2]", 3), ("{\"a,:[\":[]}", 3), ("[\"\\\",\",2]", 3)] {
            assert!((least..least + 2).contains(&count_values(text)), "{text}: {}", count_values(text));
        }
    }
}

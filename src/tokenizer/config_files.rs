//! The files beside a `tokenizer.json`: what transformers reads of them when it loads a tokenizer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::description::{claim_json, located};
use super::error::{TokenizerError, brief};

use crate::disk;

/// The keys of tokens with a fixed meaning.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The key of special tokens without a name, and its older name.
const EXTRA: &str = "extra_special_tokens";
const ADDITIONAL: &str = "additional_special_tokens";

/// `bos_token` and `eos_token` of tokenizer classes, for files that leave the keys out.
const CLASS_TOKENS: [(&str, Option<&str>, &str); 3] = [
    ("LlamaTokenizer", Some("<s>"), "</s>"),
    ("GPT2Tokenizer", Some("<|endoftext|>"), "<|endoftext|>"),
    ("Qwen2Tokenizer", None, "<|endoftext|>"),
];

/// `tokenizer_config.json`, with what `special_tokens_map.json` and `added_tokens.json` say besides.
///
/// As in transformers 5, those two are read only where `tokenizer_config.json` has no `added_tokens_decoder`.
#[derive(Debug, Default)]
pub struct TokenizerConfig {
    /// The keys of `tokenizer_config.json`, those of `special_tokens_map.json` over them.
    pub entries: Map<String, Value>,
    /// Tokens with the ids that the files give them.
    pub added: BTreeMap<u32, AddedToken>,
    /// `tokenizer_config.json` itself, for messages.
    file: ConfigFile,
}

#[derive(Debug, Default, Clone)]
struct ConfigFile {
    path: PathBuf,
    text: String,
}

impl ConfigFile {
    /// What is wrong with a key, with its place where the file has it.
    fn wrong(&self, key: &str, what: &str) -> TokenizerError {
        let path = self.path.display().to_string();
        let Some(at) = self.text.find(&format!("\"{key}\"")) else {
            return TokenizerError::Beside { path, what: brief(what) };
        };
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        TokenizerError::BesideAt { path, what: format!("{line}:{column}: {}", brief(what)) }
    }
}

impl TokenizerConfig {
    /// Reads the files beside a `tokenizer.json`; missing ones say nothing.
    ///
    /// # Errors
    /// A file that cannot be read, or has another shape.
    pub fn beside(tokenizer: &Path) -> Result<Self, TokenizerError> {
        let path = tokenizer.with_file_name("tokenizer_config.json");
        let (text, mut entries) = read_object(&path)?.unwrap_or_default();
        let file = ConfigFile { path, text };
        if let Some(class) =
            entries.get("tokenizer_class").filter(|class| !class.is_null() && !class.is_string())
        {
            let key = "tokenizer_class";
            return Err(file.wrong(key, &format!("`{key}` is {class}, expected a name")));
        }
        let mut added = BTreeMap::new();
        if let Some(decoder) = entries.get("added_tokens_decoder") {
            let tokens = decoder.as_object();
            let key = "added_tokens_decoder";
            let tokens = tokens
                .ok_or_else(|| file.wrong(key, "`added_tokens_decoder` is no object of ids and tokens"))?;
            for (id, token) in tokens {
                let what = || {
                    let what = format!(
                        "`added_tokens_decoder` has the entry {id:?}: {token}, expected an id and a token"
                    );
                    file.wrong(id, &what)
                };
                added.insert(id.parse().map_err(|_| what())?, described(token, false).ok_or_else(what)?);
            }
            return Ok(Self { entries, added, file });
        }
        if let Some((_, map)) = read_object(&tokenizer.with_file_name("special_tokens_map.json"))? {
            for (key, value) in map {
                let listed = |key: &str| entries.get(key).is_some_and(|list| *list != Value::Null);
                let known = key == ADDITIONAL && (listed(ADDITIONAL) || listed(EXTRA));
                if !known {
                    entries.insert(key, value);
                }
            }
        }
        let path = tokenizer.with_file_name("added_tokens.json");
        if let Some((_, tokens)) = read_object(&path)? {
            let config = Self { entries: entries.clone(), file: file.clone(), ..Self::default() };
            let (named, extra) = config.special()?;
            let special: HashSet<String> =
                named.into_iter().chain(extra).map(|token| token.content).collect();
            for (content, id) in tokens {
                let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
                let number =
                    number.ok_or_else(|| wrong(&path, &format!("{content:?} is {id}, expected an id")))?;
                let is_special = special.contains(&content);
                added.insert(number, AddedToken::from(content, is_special));
            }
        }
        Ok(Self { entries, added, file })
    }

    /// The text of a named token, such as `eos_token`; that of the tokenizer's class if the files leave it out.
    pub fn named(&self, key: &str) -> Option<&str> {
        if let Some(value) = self.entries.get(key) {
            return value.as_str().or_else(|| value.get("content")?.as_str());
        }
        let class = self.entries.get("tokenizer_class")?.as_str()?;
        let class = class.strip_suffix("Fast").unwrap_or(class);
        let (_, begin, end) = CLASS_TOKENS.into_iter().find(|(name, ..)| *name == class)?;
        match key {
            "bos_token" => begin,
            "eos_token" => Some(end),
            _ => None,
        }
    }

    /// The tokens that transformers adds to those of `tokenizer.json`, in its order; `own` are the added tokens there. Tokens that
    /// are there already come with the attributes that they get.
    ///
    /// # Errors
    /// A named token that is no token.
    pub fn additions(&self, own: &HashMap<u32, AddedToken>) -> Result<Vec<AddedToken>, TokenizerError> {
        let (named, extra) = self.special()?;
        let mut known: HashSet<String> = own.values().map(|token| token.content.clone()).collect();
        let mut tokens: Vec<AddedToken> = self.added.values().cloned().collect();
        known.extend(tokens.iter().map(|token| token.content.clone()));
        let names: HashSet<String> = named.iter().map(|token| token.content.clone()).collect();
        for token in named.into_iter().chain(extra) {
            if known.insert(token.content.clone()) {
                tokens.push(token);
            }
        }
        for token in &mut tokens {
            token.special |= names.contains(&token.content);
        }
        Ok(tokens)
    }

    /// Tokens with a name, and those without one that are special.
    fn special(&self) -> Result<(Vec<AddedToken>, Vec<AddedToken>), TokenizerError> {
        let token = |key: &str, value: &Value| {
            let no_token = || self.file.wrong(key, &format!("`{key}` is {value}, expected a token"));
            described(value, true).ok_or_else(no_token)
        };
        let mut named = Vec::new();
        for key in NAMED {
            if let Some(value) = self.entries.get(key).filter(|value| !value.is_null()) {
                named.push(token(key, value)?);
            }
        }
        // Further names: keys that end as those do, and an object of names.
        for (key, value) in &self.entries {
            if key.ends_with("_token") && !NAMED.contains(&key.as_str()) && value.is_string() {
                named.push(token(key, value)?);
            }
        }
        let mut extra = Vec::new();
        let list = |key| self.entries.get(key).filter(|value: &&Value| !value.is_null());
        let key = EXTRA;
        match list(key) {
            Some(Value::Object(names)) => {
                for (name, value) in names {
                    named.push(token(name, value)?);
                }
            }
            Some(Value::Array(tokens)) => {
                for value in tokens {
                    extra.push(token(key, value)?);
                }
            }
            Some(other) => {
                return Err(self
                    .file
                    .wrong(key, &format!("`{key}` is {other}, expected a list or an object")));
            }
            None => {}
        }
        // Its older name.
        let key = ADDITIONAL;
        match list(key) {
            Some(Value::Array(tokens)) if extra.is_empty() => {
                for value in tokens {
                    extra.push(token(key, value)?);
                }
            }
            Some(other) if !other.is_array() => {
                return Err(self.file.wrong(key, &format!("`{key}` is {other}, expected a list")));
            }
            _ => {}
        }
        Ok((named, extra))
    }
}

/// A token as the files write it: its text, or an object with its attributes.
fn described(value: &Value, special: bool) -> Option<AddedToken> {
    if let Some(content) = value.as_str() {
        return Some(AddedToken::from(content, special));
    }
    let content = value.get("content")?.as_str()?;
    let flags = ["special", "normalized", "lstrip", "rstrip", "single_word"];
    let is_flag = |key: &str| value.get(key).is_none_or(|flag| flag.is_null() || flag.is_boolean());
    if !flags.into_iter().all(is_flag) {
        return None;
    }
    let flag = |key: &str| value.get(key).and_then(Value::as_bool);
    let token = AddedToken::from(content, flag("special").unwrap_or(special));
    let normalized = flag("normalized").unwrap_or(token.normalized);
    Some(
        token
            .normalized(normalized)
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .single_word(flag("single_word").unwrap_or(false)),
    )
}

/// The text of a file, and the object in it.
type TextAndObject = (String, Map<String, Value>);

/// Reads a file; `None` if there is no such file.
fn read_object(path: &Path) -> Result<Option<TextAndObject>, TokenizerError> {
    let bytes = match disk::read(path, disk::TEXT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TokenizerError::Unreadable { path: path.display().to_string(), source }),
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| wrong(path, &error.to_string()))?;
    let _claim = claim_json(text).map_err(|what| wrong(path, &what))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Some((text.to_string(), object))),
        Ok(_) => Err(wrong(path, "not an object")),
        Err(error) => {
            Err(TokenizerError::BesideAt { path: path.display().to_string(), what: located(&error) })
        }
    }
}

fn wrong(path: &Path, what: &str) -> TokenizerError {
    TokenizerError::Beside { path: path.display().to_string(), what: brief(what) }
}

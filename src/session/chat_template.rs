//! Finds a model's chat template, as transformers does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::error::SessionError;
use crate::disk;
use crate::model::{GgufMetadata, LoadError};
use crate::task::ChatTemplate;
use crate::tokenizer::TokenizerConfig;

/// The name of the template that is meant where none is given.
const DEFAULT: &str = "default";

/// Special tokens that templates may read, with the keys of their ids in GGUF files.
const TOKENS: [(&str, &str); 7] = [
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    ("cls_token", "tokenizer.ggml.cls_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

/// The templates of a model, by name.
struct Found {
    templates: BTreeMap<String, (String, PathBuf)>,
    /// Whether they have names at all: a single one has none.
    named: bool,
    variables: BTreeMap<String, String>,
}

/// The chat template of that name, or the one that is meant without a name, of a model's folder, its tokenizer.json or a GGUF file.
/// Also returns whether there is only one, which has no name, though one was given.
///
/// # Errors
/// There is none, none of that name, or it is damaged.
pub fn chat_template_of(path: &Path, name: Option<&str>) -> Result<(ChatTemplate, bool), SessionError> {
    let gguf = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    let mut found = if gguf { in_metadata(path)? } else { beside(path)? };
    if found.templates.is_empty() && gguf {
        found = beside(path)?;
    }
    let shown = path.display();
    let names: Vec<&str> = found.templates.keys().map(String::as_str).collect();
    let names = names.join(", ");
    let ignored = name.is_some_and(|name| name != DEFAULT) && !found.named;
    let wanted = name.filter(|_| found.named).unwrap_or(DEFAULT);
    let Some((source, origin)) = found.templates.get(wanted) else {
        let (what, hint) = match (found.templates.is_empty(), name) {
            (true, _) => (
                format!("{shown}: no chat template"),
                "transformers reads it from chat_template.jinja or tokenizer_config.json beside the tokenizer: base models have none, \
                 leave --apply-chat-template out",
            ),
            (_, Some(name)) => (
                format!("{shown}: no chat template named `{name}`, there are {names}"),
                "give one of these names",
            ),
            _ => (
                format!("{shown}: several chat templates, none of them named `{DEFAULT}`: {names}"),
                "give one of these names with --apply-chat-template NAME",
            ),
        };
        return Err(SessionError::input(what, hint));
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let template = ChatTemplate::new(source, &origin.display().to_string(), found.variables, now / 86_400)?;
    Ok((template, ignored))
}

/// In files beside a tokenizer: `.jinja` files come before `tokenizer_config.json`.
fn beside(path: &Path) -> Result<Found, SessionError> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let config = TokenizerConfig::beside(&folder.join("tokenizer.json"))?;
    let variables =
        TOKENS.iter().filter_map(|(name, _)| Some((name.to_string(), config.named(name)?.to_string())));
    let variables = variables.collect();
    let mut templates = BTreeMap::new();
    let unreadable = |path: &Path, error: std::io::Error| {
        SessionError::input(
            format!("{}: cannot be read: {error}", path.display()),
            "it is the model's chat template: fetch it again, or leave --apply-chat-template out",
        )
    };
    let file = folder.join("chat_template.jinja");
    if file.is_file() {
        let text = disk::read_text(&file, disk::TEXT).map_err(|error| unreadable(&file, error))?;
        templates.insert(DEFAULT.to_string(), (text, file));
    }
    let further = folder.join("additional_chat_templates");
    if further.is_dir() {
        for entry in std::fs::read_dir(&further).map_err(|error| unreadable(&further, error))? {
            let file = entry.map_err(|error| unreadable(&further, error))?.path();
            let Some(name) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".jinja")) else {
                continue;
            };
            let name = name.to_string();
            let text = disk::read_text(&file, disk::TEXT).map_err(|error| unreadable(&file, error))?;
            templates.insert(name, (text, file));
        }
    }
    if !templates.is_empty() {
        let named = templates.len() > 1 || !templates.contains_key(DEFAULT);
        return Ok(Found { templates, named, variables });
    }
    let file = folder.join("tokenizer_config.json");
    let wrong = |what: String| {
        SessionError::input(
            format!("{}: `chat_template` {what}", file.display()),
            "it must be a template, or a list of objects with `name` and `template`",
        )
    };
    let named = match config.entries.get("chat_template") {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => {
            templates.insert(DEFAULT.to_string(), (text.clone(), file.clone()));
            false
        }
        Some(Value::Object(all)) => {
            for (name, text) in all {
                let text = text.as_str().ok_or_else(|| wrong(format!("`{name}` is no text")))?;
                templates.insert(name.clone(), (text.to_string(), file.clone()));
            }
            true
        }
        Some(Value::Array(all)) => {
            for one in all {
                let (Some(name), Some(text)) = (one["name"].as_str(), one["template"].as_str()) else {
                    return Err(wrong("has an entry without `name` or `template`".into()));
                };
                templates.insert(name.to_string(), (text.to_string(), file.clone()));
            }
            true
        }
        Some(other) => return Err(wrong(format!("is {other}"))),
    };
    Ok(Found { templates, named, variables })
}

/// In a GGUF file's metadata: `tokenizer.chat_template`, and further ones with their names after that.
fn in_metadata(path: &Path) -> Result<Found, SessionError> {
    const KEY: &str = "tokenizer.chat_template";
    let metadata = GgufMetadata::read(path).map_err(LoadError::from)?;
    let failed = |error| SessionError::from(LoadError::from(error));
    let mut templates = BTreeMap::new();
    let mut named = false;
    for key in metadata.keys() {
        let Some(rest) = key.strip_prefix(KEY) else { continue };
        let name = match rest.strip_prefix('.') {
            Some(name) => name,
            None if rest.is_empty() => DEFAULT,
            None => continue,
        };
        if let Some(text) = metadata.string(key).map_err(failed)? {
            named |= name != DEFAULT;
            templates.insert(name.to_string(), (text.to_string(), path.to_path_buf()));
        }
    }
    let pieces = metadata.strings("tokenizer.ggml.tokens").map_err(failed)?.unwrap_or_default();
    let mut variables = BTreeMap::new();
    for (name, key) in TOKENS {
        let id = metadata.whole(key).map_err(failed)?.and_then(|id| usize::try_from(id).ok());
        if let Some(piece) = id.and_then(|id| pieces.get(id)) {
            variables.insert(name.to_string(), piece.to_string());
        }
    }
    Ok(Found { templates, named, variables })
}

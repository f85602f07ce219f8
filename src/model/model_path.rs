//! Paths that are given as a model and are only a part of one, or no model at all.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::error::LoadError;
use crate::disk;
use crate::vocabulary::{FETCH_LFS, is_lfs_pointer};

const FORMATS: &str = "give a folder with config.json, tokenizer.json and safetensors, or a .gguf file";
const SAVE: &str = "assay reads safetensors and GGUF: save the model with transformers' save_pretrained, and give that folder";
const MERGE: &str = "merge the adapter into its base model, as peft's merge_and_unload does, and give the folder of the result";

/// Checks that a path may be a model: a folder, or a file that is or claims to be GGUF.
///
/// # Errors
/// [`LoadError::NotFound`], and [`LoadError::NotAModel`], which says what the file is and what to give instead.
pub fn check_model_path(path: &Path) -> Result<(), LoadError> {
    let facts = std::fs::metadata(path);
    let facts = facts.map_err(|reason| LoadError::NotFound { path: path.to_owned(), reason })?;
    let found = if facts.is_dir() { folder(path) } else { file(path) };
    match found {
        None => Ok(()),
        Some((what, hint)) => Err(LoadError::NotAModel { path: path.to_owned(), what, hint }),
    }
}

/// What is wrong, and what to do.
type Found = Option<(String, String)>;

fn found(what: &str, hint: impl Into<String>) -> Found {
    Some((what.to_owned(), hint.into()))
}

fn folder(path: &Path) -> Found {
    let has = |name: &str| path.join(name).exists();
    let weights = ["model.safetensors", "model.safetensors.index.json"];
    if has("adapter_config.json") {
        let base = base_of(&path.join("adapter_config.json"));
        return match weights.into_iter().any(has) {
            false => found(&format!("an adapter{base}, not a model"), MERGE),
            true => found(
                &format!("an adapter{base} lies beside the model's weights, and would be left out"),
                "merge the adapter into its base first, or move adapter_config.json away to score the weights alone",
            ),
        };
    }
    if has("config.json") && weights.into_iter().any(has) {
        return None;
    }
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = inside.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    if let Some(first) = names.iter().find(|name| has_ending(name, &["gguf"])) {
        let lacks = if has("config.json") { "no safetensors" } else { "no config.json" };
        return found(
            &format!("{lacks} in this folder"),
            format!("give the .gguf file itself: {}", path.join(first).display()),
        );
    }
    if has("config.json") {
        return None;
    }
    if let Some(recipe) = names.iter().find(|name| has_ending(name, &["yml", "yaml"])) {
        let hint = format!("{recipe} may be a recipe: run it, and give the folder that it writes");
        return found("no config.json in this folder", hint);
    }
    None
}

fn file(path: &Path) -> Found {
    let mut beginning = [0; 256];
    let length = disk::open(path).and_then(|mut file| file.read(&mut beginning)).unwrap_or(0);
    let beginning = &beginning[..length];
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let its_folder = format!("give its folder: {}", parent.display());
    if is_lfs_pointer(beginning) {
        return found("a pointer of git-lfs, not the file itself", FETCH_LFS);
    }
    if beginning.starts_with(b"GGUF") {
        return None;
    }
    if is_page(beginning) {
        return found(
            "a web page, not a model",
            "the download was answered by a page, perhaps of a login: download the file again",
        );
    }
    if name.starts_with("adapter_") {
        let base = base_of(&path.with_file_name("adapter_config.json"));
        return found(&format!("a file of an adapter{base}, not a model"), MERGE);
    }
    if has_ending(&name, &["safetensors"]) {
        return found("a file of weights, which is only a part of a model", its_folder);
    }
    if has_ending(&name, &["bin", "pt", "pth", "ckpt", "pkl"]) || is_pickled(beginning) {
        return found("a file of pickled weights, which may run any code and is not read", SAVE);
    }
    if has_ending(&name, &["json", "jinja", "model", "txt"]) {
        return found("a file that belongs to a model, not the model", its_folder);
    }
    if has_ending(&name, &["yml", "yaml"]) {
        return found(
            "a recipe or another settings file, not a model",
            "run the recipe, and give the folder that it writes",
        );
    }
    // What is called GGUF is read as GGUF, whose errors say what is damaged.
    if has_ending(&name, &["gguf"]) {
        return None;
    }
    found("neither a folder nor a GGUF file", FORMATS)
}

fn has_ending(name: &str, endings: &[&str]) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Python's pickle, or a zip archive of it, as torch writes.
fn is_pickled(beginning: &[u8]) -> bool {
    beginning.starts_with(b"PK\x03\x04") || matches!(beginning, [0x80, 2..=5, ..])
}

fn is_page(beginning: &[u8]) -> bool {
    let text = String::from_utf8_lossy(beginning).trim_start().to_lowercase();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}

/// ` to BASE`, where an adapter's configuration names its base model.
fn base_of(config: &Path) -> String {
    let text = disk::read(config, disk::TEXT).unwrap_or_default();
    let config: Value = serde_json::from_slice(&text).unwrap_or_default();
    let base = config.get("base_model_name_or_path").and_then(Value::as_str);
    base.map(|base| format!(" to {}", base.escape_debug())).unwrap_or_default()
}

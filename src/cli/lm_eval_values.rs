//! Values of lm_eval's flags: `key=value` words, as its `_cli/utils.py` reads them, and its YAML files.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::failure::Failure;
use super::output::say;
use crate::disk;
use crate::python::literal::literal_eval;
use crate::task::{Document, Key, Place, Yaml, parse_yaml_document};

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub key: String,
    pub value: Value,
    /// The value as text: what was typed, without the quotes of a literal.
    pub text: String,
}

/// Reads the words of a flag: an object of JSON in the first, or `key=value,key=value` in each. The last value of a key counts.
///
/// # Errors
/// What is wrong, in words.
pub fn pairs(words: &[String]) -> Result<Vec<Pair>, String> {
    let mut found: Vec<Pair> = Vec::new();
    if let [first, rest @ ..] = words
        && let Ok(Value::Object(object)) = serde_json::from_str(first)
    {
        if let Some(more) = rest.first() {
            return Err(format!("an object of JSON is followed by `{more}`, expected nothing"));
        }
        let pair = |(key, value): (String, Value)| Pair { key, text: text_of(&value), value };
        return Ok(object.into_iter().map(pair).collect());
    }
    for item in words.iter().flat_map(|word| split_top_level(word)) {
        let Some((key, typed)) = item.split_once('=') else {
            return Err(format!("`{item}`, expected key=value"));
        };
        let value = value_of(typed);
        let text = value.as_str().map_or_else(|| typed.to_string(), str::to_string);
        let pair = Pair { key: key.trim().to_string(), value, text };
        match found.iter_mut().find(|known| known.key == pair.key) {
            Some(known) => *known = pair,
            None => found.push(pair),
        }
    }
    Ok(found)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// `split_top_level` there: at commas outside of brackets and quotes.
fn split_top_level(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quote) = (vec![String::new()], 0_usize, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']' | ')' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// `handle_cli_value_string` there.
fn value_of(typed: &str) -> Value {
    match typed.to_lowercase().as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(whole) = typed.parse::<i64>() {
        return whole.into();
    }
    match typed.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        Ok(_) => typed.into(),
        Err(_) => literal_eval(typed).unwrap_or_else(|| typed.into()),
    }
}

/// An entry of a `--config` file.
#[derive(Debug)]
pub struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Value,
}

/// Reads a `--config` file: a mapping of flags' names to values. Values of null are left out, as they are there.
///
/// # Errors
/// It cannot be read, or is no such mapping.
pub fn config_entries(path: &Path) -> Result<Vec<Entry>, Failure> {
    let hint = "give a YAML file with a line such as `tasks: [a, b]` for each flag";
    let shown = path.display();
    let text = disk::read_named(path, disk::TEXT)
        .map_err(|error| Failure::bad_input(format!("--config {shown}: cannot be read: {error}"), hint))?;
    let Document { root, repeated } = parse_yaml_document(&text, Arc::from(path))?;
    for Key { name, place } in repeated {
        say!("warning: {place}: key `{name}` stands twice; the last one counts, as for PyYAML");
    }
    let Yaml::Map(entries) = root.yaml else {
        let (place, found) = (root.place, root.yaml.kind());
        return Err(Failure::bad_input(format!("{place}: the file is {found}, expected a mapping"), hint));
    };
    let entry = |(key, node): (crate::task::Key, crate::task::Node)| Entry {
        key: key.name,
        place: key.place,
        value: node.to_json(),
    };
    Ok(entries.into_iter().map(entry).filter(|entry| !entry.value.is_null()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_become_keys_and_values_as_in_lm_eval() {
        let read = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            pairs(&words).map(|pairs| {
                pairs.into_iter().map(|pair| (pair.key, pair.value)).collect::<serde_json::Map<_, _>>()
            })
        };
        for (words, expected) in [
            (&["a=1,b=x"][..], json!({"a": 1, "b": "x"})),
            (&["a=1", "b=TRUE", "a=2"], json!({"a": 2, "b": true})),
            (&["a=1e3,b=None,c=-1"], json!({"a": 1000.0, "b": null, "c": -1})),
            (&[r#"until=["\n\n","Q:"],k=[1,2]"#], json!({"until": ["\n\n", "Q:"], "k": [1, 2]})),
            (&["p=./a=b"], json!({"p": "./a=b"})),
            (&[r#"{"a": {"b": [1]}}"#], json!({"a": {"b": [1]}})),
            (&[""], json!({})),
        ] {
            assert_eq!(json!(read(words).unwrap()), expected, "{words:?}");
        }
        assert_eq!(read(&["a"]).unwrap_err(), "`a`, expected key=value");
        assert!(read(&["{\"a\": 1}", "b=2"]).unwrap_err().contains("followed by `b=2`"));
    }
}

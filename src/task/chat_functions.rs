//! Functions and filters that transformers gives to chat templates.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::python_print::python_str;
use super::size_limits::{MAX_RENDERED, charge_printed};
use crate::python::calendar::strftime;

/// Adds them. `seconds` after the beginning of 1970 is the time that `strftime_now` writes, in UTC.
pub fn add(environment: &mut Environment<'static>, seconds: u64) {
    environment.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        let mut text = String::new();
        python_str(&message, false, 0, &mut text)?;
        Err(failed(text))
    });
    environment.add_function("strftime_now", move |format: &str| -> Result<String, Error> {
        strftime(seconds, format).map_err(failed)
    });
    environment.add_filter("tojson", to_json);
}

fn failed(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// How JSON is written.
struct Style {
    ensure_ascii: bool,
    /// What one level is indented by; `None` writes one line.
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
}

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, which escapes nothing for HTML.
fn to_json(
    state: &mut State,
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    charge_printed(state, value)?;
    let given = |name: &str| -> Result<Option<Value>, Error> {
        let value: Option<Value> = kwargs.get(name)?;
        Ok(value.filter(|value| !value.is_none()))
    };
    let indent = indent.or(given("indent")?).filter(|indent| !indent.is_none());
    let indent = match &indent {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_string),
        Some(number) => Some(" ".repeat(usize::try_from(number.clone())?.min(64))),
    };
    let (mut item, mut key) = (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string());
    if let Some(separators) = given("separators")? {
        let parts: Vec<Value> = separators.try_iter()?.collect();
        let [one, other] = parts.as_slice() else {
            return Err(failed(format!("tojson: {} separators, expected 2", parts.len())));
        };
        (item, key) = (one.to_string(), other.to_string());
    }
    let flag = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let style = Style {
        ensure_ascii: ensure_ascii.unwrap_or(flag(given("ensure_ascii")?)),
        indent,
        item,
        key,
        sort_keys: flag(given("sort_keys")?),
    };
    kwargs.assert_all_used()?;
    let mut out = String::new();
    write_json(value, &style, 0, &mut out)?;
    Ok(out)
}

fn write_json(value: &Value, style: &Style, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > 32 || out.len() + value.as_str().map_or(0, str::len) > MAX_RENDERED {
        return Err(failed("the value is too deep or too long for JSON".into()));
    }
    let open = |depth: usize, out: &mut String| {
        if let Some(indent) = &style.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(x) if x.is_nan() => out.push_str("NaN"),
            Ok(x) if x.is_infinite() => out.push_str(if x > 0.0 { "Infinity" } else { "-Infinity" }),
            _ => python_str(value, true, depth, out)?,
        },
        ValueKind::String => write_text(value.as_str().unwrap_or_default(), style.ensure_ascii, out),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut empty = true;
            for item in value.try_iter()? {
                if !empty {
                    out.push_str(&style.item);
                }
                empty = false;
                open(depth + 1, out);
                write_json(&item, style, depth + 1, out)?;
            }
            if !empty {
                open(depth, out);
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort_keys {
                keys.sort();
            }
            out.push('{');
            for (i, key) in keys.iter().enumerate() {
                if i > 0 {
                    out.push_str(&style.item);
                }
                open(depth + 1, out);
                // JSON's keys are texts: Python writes others as JSON and quotes that.
                let mut name = String::new();
                match key.as_str() {
                    Some(text) => name.push_str(text),
                    None => write_json(key, style, depth + 1, &mut name)?,
                }
                write_text(&name, style.ensure_ascii, out);
                out.push_str(&style.key);
                write_json(&value.get_item(key)?, style, depth + 1, out)?;
            }
            if !keys.is_empty() {
                open(depth, out);
            }
            out.push('}');
        }
        kind => return Err(failed(format!("tojson: a value of kind {kind} is no JSON"))),
    }
    Ok(())
}

fn write_text(text: &str, ensure_ascii: bool, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // DEL is ASCII, and stays.
            c if c < ' ' || (ensure_ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

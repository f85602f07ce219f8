//! Jinja2's filters that minijinja lacks or implements differently, and the harness's own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::python_methods::{centered, lines};
use super::python_print::python_str;
use super::size_limits::{MAX_RENDERED, allow, charge_pattern, charge_printed};
use crate::python::regex::PythonRegex;
use crate::python::text;

/// Adds filters that accept lists as texts and print them without a limit; fuel for the printed size is
/// charged first.
macro_rules! guard {
    ($environment:ident, $($name:literal => $filter:expr),+ $(,)?) => {$(
        $environment.add_filter(concat!("_plain_", $name), $filter);
        $environment.add_filter($name, |state: &mut State, arguments: Rest<ValueOrKwargs>| {
            let mut arguments = arguments.into_values();
            for argument in arguments.iter() {
                charge_printed(state, argument)?;
            }
            if !["format", "join"].contains(&$name)
                && let Some(value) = arguments.first_mut()
            {
                *value = as_text(value)?;
            }
            state.apply_filter(concat!("_plain_", $name), &arguments)
        });
    )+};
}

/// A value that filters of texts take as its text, printed as Python prints it.
fn as_text(value: &Value) -> Result<Value, Error> {
    if matches!(value.kind(), ValueKind::String | ValueKind::Undefined | ValueKind::Invalid) {
        return Ok(value.clone());
    }
    let mut text = String::new();
    python_str(value, false, 0, &mut text)?;
    Ok(Value::from(text))
}

/// `join(d, attribute)`, of items as Python prints them.
fn join(
    state: &mut State,
    value: Value,
    joiner: Option<Value>,
    attribute: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let joiner = joiner.or(kwargs.get("d")?).unwrap_or_else(|| Value::from(""));
    let attribute = attribute.or(kwargs.get("attribute")?);
    kwargs.assert_all_used()?;
    let items = match attribute {
        Some(name) => {
            let name = Kwargs::from_iter([("attribute".to_string(), name)]);
            state.apply_filter("map", &[value, name.into()])?
        }
        None => value,
    };
    let items = match items.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            items.try_iter()?.map(|item| as_text(&item)).collect::<Result<Vec<_>, _>>()?.into()
        }
        _ => items,
    };
    state.apply_filter("_texts_join", &[items, joiner])
}

/// Adds all filters.
pub fn add(environment: &mut Environment<'static>) {
    use minijinja::filters as engine;
    guard!(
        environment,
        "lower" => engine::lower,
        "upper" => engine::upper,
        "title" => engine::title,
        "capitalize" => engine::capitalize,
        "replace" => replace,
        "trim" => engine::trim,
        "join" => join,
        "split" => engine::split,
        "lines" => engine::lines,
        "string" => engine::string,
        "format" => engine::format,
        "indent" => indent,
        "truncate" => truncate,
        "center" => |value: String, width: Option<usize>| centered(&value, width.unwrap_or(80), ' '),
        "wordcount" => word_count,
    );
    environment.add_filter("_texts_join", engine::join);
    environment.add_filter("regex_replace", regex_replace);
    environment.add_filter("regex_search", regex_search);
    environment.add_filter("strip", |value: &str| text::strip(value).to_string());
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("sort", sort);
    environment.add_filter("tojson", to_json);
    for name in ["e", "escape", "forceescape"] {
        environment.add_filter(name, escape);
    }
    // minijinja's own differ from Jinja2's: no filter is better than a wrong one.
    for name in ["pprint", "attr"] {
        environment.remove_filter(name);
    }
}

/// `replace(old, new, count)`.
fn replace(
    value: String,
    old: String,
    new: String,
    count: Option<i64>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let count = count.or(kwargs.get("count")?).and_then(|count| usize::try_from(count).ok());
    kwargs.assert_all_used()?;
    let found = value.matches(&old).count().min(count.unwrap_or(usize::MAX));
    allow(value.len().saturating_add(found.saturating_mul(new.len().saturating_sub(old.len()))))?;
    Ok(value.replacen(&old, &new, found))
}

fn word_count(state: &State, value: String) -> Result<usize, Error> {
    let mut steps = 0;
    let count = compile(r"\w+")?.count(&value, &mut steps).map_err(failed)?;
    charge_pattern(state, steps)?;
    Ok(count)
}

fn failed(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// Maximum compiled patterns cached per thread. A task has a few; patterns that a template builds from a
/// row's values must not fill memory.
const MAX_CACHED_PATTERNS: usize = 64;

thread_local! {
    /// Compiling a pattern takes far longer than searching a row with it, and every row of a split uses the
    /// same ones.
    static COMPILED: RefCell<HashMap<String, Rc<PythonRegex>>> = RefCell::default();
}

fn compile(pattern: &str) -> Result<Rc<PythonRegex>, Error> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = PythonRegex::new(pattern)
            .map_err(|e| failed(format!("bad regular expression `{pattern}`: {e}")))?;
        let regex = Rc::new(regex);
        if compiled.len() >= MAX_CACHED_PATTERNS {
            compiled.clear();
        }
        compiled.insert(pattern.to_string(), regex.clone());
        Ok(regex)
    })
}

/// `re.sub(pattern, replacement, value, count)`, the harness's own filter.
fn regex_replace(state: &State, value: &str, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let rest = rest.into_values();
    type Arguments<'a> = (Option<&'a str>, Option<&'a str>, Option<usize>, Kwargs);
    let (pattern, replacement, count, kwargs): Arguments = from_args(&rest)?;
    let named = |given: Option<&str>, name: &str| match given {
        Some(text) => Ok(text.to_string()),
        None => kwargs.get::<Option<String>>(name)?.ok_or_else(|| {
            Error::new(ErrorKind::MissingArgument, "regex_replace takes a pattern and a replacement")
        }),
    };
    let pattern = named(pattern, "pattern")?;
    let replacement = named(replacement, "repl")?;
    let count = count.or(kwargs.get("count")?).unwrap_or(0);
    kwargs.assert_all_used()?;
    let mut steps = 0;
    let replaced = compile(&pattern)?.sub_counting(value, &replacement, count, &mut steps).map_err(failed)?;
    charge_pattern(state, steps)?;
    Ok(replaced)
}

/// The first match's first group (the match itself where the pattern has none), stripped; `none` where nothing matches.
fn regex_search(state: &State, value: &str, pattern: &str) -> Result<Option<String>, Error> {
    let mut steps = 0;
    let found = compile(pattern)?.search(value, &mut steps).map_err(failed)?;
    charge_pattern(state, steps)?;
    Ok(found)
}

/// Text that is not a number gives the default; white space around a number is ignored.
fn number(
    value: &Value,
    default: Option<Value>,
    zero: Value,
    read: impl FnOnce(&Value) -> Result<Value, Error>,
) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => Ok(read(&Value::from(text::strip(text))).unwrap_or_else(|_| default.unwrap_or(zero))),
        None => read(value),
    }
}

fn int(
    state: &State,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let default = default.or(kwargs.get("default")?);
    let base = base.or(kwargs.get("base")?);
    kwargs.assert_all_used()?;
    let none = || Kwargs::from_iter(Vec::<(String, Value)>::new());
    if value.kind() == ValueKind::Number
        && let Ok(x) = f64::try_from(value.clone())
        && !x.is_finite()
    {
        let nan = x.is_nan().then(|| default.unwrap_or_else(|| Value::from(0)));
        return nan.ok_or_else(|| failed("an infinite number is no whole number".into()));
    }
    number(value, default.clone(), Value::from(0), |value| {
        minijinja::filters::int(state, value, default, base, none())
    })
}

fn float(state: &State, value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = default.or(kwargs.get("default")?);
    kwargs.assert_all_used()?;
    let none = Kwargs::from_iter(Vec::<(String, Value)>::new());
    number(value, default.clone(), Value::from(0.0), |value| {
        minijinja::filters::float(state, value, default, none)
    })
}

/// `sort(reverse, case_sensitive, attribute)`: minijinja takes them by name only.
fn sort(state: &State, value: Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut named: Vec<(String, Value)> =
        ["reverse", "case_sensitive", "attribute"].map(String::from).into_iter().zip(positional.0).collect();
    for name in kwargs.args() {
        named.push((name.to_string(), kwargs.get(name)?));
    }
    minijinja::filters::sort(state, value, Kwargs::from_iter(named))
}

/// `json.dumps(value, sort_keys=True, indent=indent)`, safe inside HTML.
fn to_json(value: &Value, indent: Option<usize>, kwargs: Kwargs) -> Result<String, Error> {
    let indent = indent.or(kwargs.get("indent")?);
    kwargs.assert_all_used()?;
    let mut out = String::new();
    write_json(value, indent.map(|n| n.min(64)), 0, &mut out)?;
    Ok(out)
}

fn write_json(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) -> Result<(), Error> {
    let text = value.as_str().map_or(0, str::len);
    if depth > 32 || out.len() + text > MAX_RENDERED {
        return Err(failed("the value is too deep or too long for JSON".into()));
    }
    let break_line = |depth: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    let separate = |i: usize, out: &mut String| {
        if i > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        break_line(depth + 1, out);
    };
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(x) if x.is_nan() => out.push_str("NaN"),
            Ok(x) if x.is_infinite() => out.push_str(if x > 0.0 { "Infinity" } else { "-Infinity" }),
            _ => python_str(value, true, depth, out)?,
        },
        ValueKind::String => json_text(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(i, out);
                write_json(item, indent, depth + 1, out)?;
            }
            if !items.is_empty() {
                break_line(depth, out);
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            keys.sort();
            out.push('{');
            for (i, key) in keys.iter().enumerate() {
                separate(i, out);
                json_text(&key.to_string(), out);
                out.push_str(": ");
                write_json(&value.get_item(key)?, indent, depth + 1, out)?;
            }
            if !keys.is_empty() {
                break_line(depth, out);
            }
            out.push('}');
        }
        kind => return Err(failed(format!("{kind} cannot be written as JSON"))),
    }
    Ok(())
}

fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\'' | '\0'..='\u{1f}' | '\u{7f}'.. => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // DEL is ASCII, which `json.dumps` keeps.
                    match unit {
                        0x7f => out.push('\u{7f}'),
                        unit => out.push_str(&format!("\\u{unit:04x}")),
                    }
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn escape(value: &Value) -> Result<Value, Error> {
    let mut text = String::new();
    python_str(value, false, 0, &mut text)?;
    allow(text.len())?;
    let text = text.replace('&', "&amp;").replace('>', "&gt;").replace('<', "&lt;");
    Ok(Value::from(text.replace('\'', "&#39;").replace('"', "&#34;")))
}

/// `indent(width, first, blank)`; the width may be the text to indent with.
fn indent(
    value: String,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let width = width.or(kwargs.get("width")?);
    let first = first.or(kwargs.get("first")?).unwrap_or(false);
    let blank = blank.or(kwargs.get("blank")?).unwrap_or(false);
    kwargs.assert_all_used()?;
    let margin = match &width {
        None => "    ".to_string(),
        Some(width) => match (width.as_str(), width.as_usize()) {
            (Some(text), _) => text.to_string(),
            (None, Some(n)) => {
                allow(n)?;
                " ".repeat(n)
            }
            (None, None) => return Err(failed("the width of an indent is a number or a text".into())),
        },
    };
    let value = value + "\n";
    let mut out = String::new();
    for (i, line) in lines(&value, false).into_iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&margin);
        }
        out.push_str(line);
        allow(out.len())?;
    }
    Ok(out)
}

/// `truncate(length, killwords, end, leeway)`.
fn truncate(
    value: String,
    length: Option<usize>,
    kill_words: Option<bool>,
    end: Option<String>,
    rest: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
    let rest = rest.into_values();
    let (leeway, kwargs): (Option<usize>, Kwargs) = from_args(&rest)?;
    let length = length.or(kwargs.get("length")?).unwrap_or(255);
    let kill_words = kill_words.or(kwargs.get("killwords")?).unwrap_or(false);
    let end = end.or(kwargs.get("end")?).unwrap_or_else(|| "...".to_string());
    let leeway = leeway.or(kwargs.get("leeway")?).unwrap_or(5);
    kwargs.assert_all_used()?;
    let kept = length.checked_sub(end.chars().count());
    let kept = kept.ok_or_else(|| failed(format!("a length of {length} has no room for `{end}`")))?;
    if value.chars().count() <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let cut: String = value.chars().take(kept).collect();
    let cut = match cut.rsplit_once(' ') {
        Some((before, _)) if !kill_words => before.to_string(),
        _ => cut,
    };
    Ok(cut + &end)
}

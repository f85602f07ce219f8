//! Python's methods on strings and lists that minijinja's compatibility layer lacks or implements
//! differently.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::python_print::shown;
use super::size_limits::{MAX_RENDERED, allow, charge, printed_size, too_long};
use crate::python::text;

/// minijinja calls this for every method that a value does not have itself.
pub fn python_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let own = match value.as_str() {
        Some(receiver) => {
            charge(state, receiver.len())?;
            check_growth(receiver, method, args)?;
            text_method(state, receiver, method, args)?
        }
        None if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) => {
            charge(state, value.len().unwrap_or(0).saturating_mul(64))?;
            list_method(value, method, args)?
        }
        None if method == "copy" && args.is_empty() && value.kind() == ValueKind::Map => Some(value.clone()),
        None => None,
    };
    match own {
        Some(value) => Ok(value),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn failed(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

fn list_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" if args.len() == 1 => match value.try_iter()?.position(|item| item == args[0]) {
            Some(at) => Ok(Some(at.into())),
            None => Err(failed(format!("{} is not in the list", shown(&args[0])))),
        },
        "copy" if args.is_empty() => Ok(Some(value.clone())),
        "append" | "extend" | "insert" | "pop" | "remove" | "sort" | "reverse" => Err(failed(format!(
            "`.{method}` would change a list, which templates here cannot: build a new one with `+`"
        ))),
        _ => Ok(None),
    }
}

/// Checks, for methods whose result may be far longer than their input, that it is not too long.
fn check_growth(receiver: &str, method: &str, args: &[Value]) -> Result<(), Error> {
    allow(receiver.len())?;
    match method {
        "replace" => {
            let (Some(from), Some(to)) =
                (args.first().and_then(Value::as_str), args.get(1).and_then(Value::as_str))
            else {
                return Ok(());
            };
            if to.len() > from.len() {
                let added = receiver.matches(from).count().saturating_mul(to.len() - from.len());
                allow(receiver.len().saturating_add(added))?;
            }
        }
        "join" => {
            let Some(items) = args.first() else { return Ok(()) };
            let count = items.len().or_else(|| items.try_iter().ok().map(Iterator::count)).unwrap_or(0);
            allow(receiver.len().saturating_mul(count).saturating_add(printed_size(items)?))?;
        }
        "format" => {
            // Each field may print an argument and be padded to a width.
            let (mut depth, mut fields, mut number, mut widths) = (0usize, 0usize, 0usize, 0usize);
            for byte in receiver.bytes() {
                match byte {
                    b'{' => (depth, fields) = (depth + 1, fields + 1),
                    b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                number = match byte {
                    b'0'..=b'9' if depth > 0 => {
                        number.saturating_mul(10).saturating_add(usize::from(byte - b'0'))
                    }
                    _ => {
                        widths = widths.saturating_add(number);
                        0
                    }
                };
            }
            for argument in args {
                let width = argument.as_usize().unwrap_or(0);
                let printed = fields.saturating_mul(printed_size(argument)?);
                // A number may itself be a width: `{:{}}`.
                let nested = if receiver.contains(":{") { width.saturating_mul(fields) } else { 0 };
                widths = widths.saturating_add(printed).saturating_add(nested);
            }
            allow(receiver.len().saturating_add(widths))?;
        }
        _ => {}
    }
    Ok(())
}

fn text_method(state: &State, receiver: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let words: Value = match method {
        "strip" if args.is_empty() => text::strip(receiver).into(),
        "lstrip" if args.is_empty() => text::lstrip(receiver).into(),
        "rstrip" if args.is_empty() => text::rstrip(receiver).into(),
        "find" | "rfind" | "index" | "rindex" => {
            let (needle, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let found = window(receiver, start, end).and_then(|(before, part)| {
                let at = if method.starts_with('r') { part.rfind(needle) } else { part.find(needle) };
                at.map(|at| before + part[..at].chars().count())
            });
            match found {
                Some(at) => at.into(),
                None if method.ends_with("index") => return Err(failed("substring not found")),
                None => Value::from(-1),
            }
        }
        "count" => {
            let (needle, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            window(receiver, start, end).map_or(0, |(_, part)| part.matches(needle).count()).into()
        }
        "startswith" | "endswith" if args.len() > 1 => {
            let (affix, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let holds = |(_, part): (usize, &str)| {
                if method == "startswith" { part.starts_with(affix) } else { part.ends_with(affix) }
            };
            window(receiver, start, end).is_some_and(holds).into()
        }
        "split" | "rsplit" => {
            let (separator, most, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
            let separator = separator.or(kwargs.get("sep")?).filter(|s| !s.is_none());
            let most = most.or(kwargs.get("maxsplit")?).and_then(|n| usize::try_from(n).ok());
            kwargs.assert_all_used()?;
            let separator = match &separator {
                None => None,
                Some(value) => match value.as_str() {
                    Some("") => return Err(failed("empty separator")),
                    Some(separator) => Some(separator),
                    None => return Err(failed("the separator of a split is a text")),
                },
            };
            let most = most.unwrap_or(usize::MAX - 1);
            let parts = match separator {
                None => receiver.split(text::is_space).count(),
                Some(separator) => receiver.matches(separator).count() + 1,
            };
            charge(state, parts.min(most.saturating_add(1)).saturating_mul(64))?;
            split(receiver, separator, most, method == "rsplit").into_iter().map(Value::from).collect()
        }
        "splitlines" => {
            let (keep, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
            let keep = keep.or(kwargs.get("keepends")?).unwrap_or(false);
            kwargs.assert_all_used()?;
            charge(state, receiver.matches(is_line_break).count().saturating_mul(64))?;
            lines(receiver, keep).into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let (needle,): (&str,) = from_args(args)?;
            let parts = match method {
                "partition" => receiver.split_once(needle),
                _ => receiver.rsplit_once(needle),
            };
            let parts = match (parts, method) {
                (Some((before, after)), _) => [before, needle, after],
                (None, "partition") => [receiver, "", ""],
                (None, _) => ["", "", receiver],
            };
            Tuple::from(parts.map(Value::from)).into()
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            receiver.strip_prefix(prefix).unwrap_or(receiver).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            receiver.strip_suffix(suffix).unwrap_or(receiver).into()
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match receiver.strip_prefix(['-', '+']) {
                Some(digits) => (&receiver[..1], digits),
                None => ("", receiver),
            };
            format!("{sign}{}{digits}", padding(receiver, width, '0')?).into()
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            let fill = fill.unwrap_or(' ');
            match method {
                "ljust" => format!("{receiver}{}", padding(receiver, width, fill)?),
                "rjust" => format!("{}{receiver}", padding(receiver, width, fill)?),
                _ => centered(receiver, width, fill)?,
            }
            .into()
        }
        "title" if args.is_empty() => title(receiver).into(),
        "istitle" if args.is_empty() => {
            (receiver.chars().any(is_cased) && title(receiver) == receiver).into()
        }
        "swapcase" if args.is_empty() => {
            let swap = |c: char| {
                if c.is_uppercase() {
                    c.to_lowercase().collect::<String>()
                } else {
                    c.to_uppercase().collect()
                }
            };
            receiver.chars().map(swap).collect::<String>().into()
        }
        "casefold" if args.is_empty() => receiver.to_lowercase().replace('ß', "ss").into(),
        "isspace" if args.is_empty() => (!receiver.is_empty() && receiver.chars().all(text::is_space)).into(),
        "isdecimal" if args.is_empty() => all(receiver, text::is_decimal).into(),
        "isdigit" if args.is_empty() => all(receiver, text::is_digit).into(),
        "expandtabs" => {
            let (size,): (Option<usize>,) = from_args(args)?;
            expanded(receiver, size.unwrap_or(8))?.into()
        }
        _ => return Ok(None),
    };
    Ok(Some(words))
}

fn all(receiver: &str, accept: fn(char) -> bool) -> bool {
    !receiver.is_empty() && receiver.chars().all(accept)
}

/// `receiver[start:end]` and the number of characters before it; `None` if it begins after its end.
fn window(receiver: &str, start: Option<i64>, end: Option<i64>) -> Option<(usize, &str)> {
    let length = receiver.chars().count() as i64;
    let clamp = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (start, end) = (clamp(start.unwrap_or(0)), clamp(end.unwrap_or(length)).min(length));
    if start > end {
        return None;
    }
    let byte = |at: i64| receiver.char_indices().nth(at as usize).map_or(receiver.len(), |(byte, _)| byte);
    Some((start as usize, &receiver[byte(start)..byte(end)]))
}

fn split<'a>(receiver: &'a str, separator: Option<&str>, most: usize, from_end: bool) -> Vec<&'a str> {
    let mut parts: Vec<&str> = match (separator, from_end) {
        (Some(separator), false) => return receiver.splitn(most + 1, separator).collect(),
        (Some(separator), true) => receiver.rsplitn(most + 1, separator).collect(),
        (None, false) => {
            let (mut rest, mut parts) = (text::lstrip(receiver), Vec::new());
            while !rest.is_empty() && parts.len() < most {
                let end = rest.find(text::is_space).unwrap_or(rest.len());
                parts.push(&rest[..end]);
                rest = text::lstrip(&rest[end..]);
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
            return parts;
        }
        (None, true) => {
            let (mut rest, mut parts) = (text::rstrip(receiver), Vec::new());
            while !rest.is_empty() && parts.len() < most {
                let begin = rest.char_indices().rfind(|(_, c)| text::is_space(*c));
                let begin = begin.map_or(0, |(at, c)| at + c.len_utf8());
                parts.push(&rest[begin..]);
                rest = text::rstrip(&rest[..begin]);
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
            parts
        }
    };
    parts.reverse();
    parts
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `str.splitlines(keep)`.
pub fn lines(receiver: &str, keep: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = receiver;
    while !rest.is_empty() {
        let Some((at, c)) = rest.char_indices().find(|(_, c)| is_line_break(*c)) else {
            found.push(rest);
            break;
        };
        let next = at + if rest[at..].starts_with("\r\n") { 2 } else { c.len_utf8() };
        found.push(&rest[..if keep { next } else { at }]);
        rest = &rest[next..];
    }
    found
}

fn padding(receiver: &str, width: usize, fill: char) -> Result<String, Error> {
    let count = width.saturating_sub(receiver.chars().count());
    allow(count.saturating_mul(fill.len_utf8()))?;
    Ok(fill.to_string().repeat(count))
}

/// `str.center`: an odd padding character goes left if the width is odd.
pub fn centered(receiver: &str, width: usize, fill: char) -> Result<String, Error> {
    let pad = padding(receiver, width, fill)?;
    let count = width.saturating_sub(receiver.chars().count());
    let left = count / 2 + (count & width & 1);
    let (left, right): (String, String) =
        (pad.chars().take(left).collect(), pad.chars().skip(left).collect());
    Ok(format!("{left}{receiver}{right}"))
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase()
}

/// `str.title`: upper case after any character without case, an apostrophe too.
fn title(receiver: &str) -> String {
    let mut out = String::with_capacity(receiver.len());
    let mut inside = false;
    for c in receiver.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
        }
        inside = is_cased(c);
    }
    out
}

fn expanded(receiver: &str, size: usize) -> Result<String, Error> {
    let mut out = String::new();
    let mut column = 0;
    for c in receiver.chars() {
        match c {
            '\t' => {
                let blanks = if size == 0 { 0 } else { size - column % size };
                if blanks > MAX_RENDERED - out.len().min(MAX_RENDERED) {
                    return Err(too_long());
                }
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out)
}

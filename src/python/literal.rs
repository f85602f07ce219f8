//! Python literals: `str(value)` as a template prints it, and `ast.literal_eval` as the harness reads it back.

use serde_json::{Map, Number, Value};

use super::text::is_printable;
use crate::vocabulary::Cell;

/// `repr(text)`: single quotes, unless the text has one and no double quote.
pub fn repr_str(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => out.push_str(&match c as u32 {
                code @ ..0x100 => format!("\\x{code:02x}"),
                code @ ..0x1_0000 => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
}

/// `repr(bytes)`.
pub fn repr_bytes(bytes: &[u8], out: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if byte == quote as u8 => {
                out.push('\\');
                out.push(quote);
            }
            b' '..=b'~' => out.push(byte as char),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
}

/// `str(cell)`.
pub fn str(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Object(object) => object.str.clone(),
        cell => {
            let mut out = String::new();
            repr(cell, &mut out);
            out
        }
    }
}

fn repr(cell: &Cell, out: &mut String) {
    let comma = |i: usize, out: &mut String| out.push_str(if i > 0 { ", " } else { "" });
    match cell {
        Cell::Null => out.push_str("None"),
        Cell::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
        Cell::Int(n) => out.push_str(&n.to_string()),
        Cell::Float(x) => out.push_str(&repr_float(*x)),
        Cell::Text(text) => repr_str(text, out),
        Cell::Bytes(bytes) => repr_bytes(bytes, out),
        Cell::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                comma(i, out);
                repr(item, out);
            }
            out.push(']');
        }
        Cell::Struct(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                comma(i, out);
                repr_str(key, out);
                out.push_str(": ");
                repr(value, out);
            }
            out.push('}');
        }
        Cell::Object(object) => out.push_str(&object.repr),
        // A column that is refused is an error before anything of it is printed.
        Cell::Refused(why) => out.push_str(why),
    }
}

/// `repr(number)`: floats always show a point or an exponent.
pub fn repr_float(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let exponent = if x == 0.0 { 0 } else { x.abs().log10().floor() as i32 };
    if (-4..16).contains(&exponent) {
        let plain = format!("{x}");
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        let scientific = format!("{x:e}");
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let (sign, digits) = match power.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', power),
        };
        format!("{mantissa}e{sign}{digits:0>2}")
    }
}

/// `ast.literal_eval(source)` for strings, numbers, `True`, `False`, `None`, lists, tuples and dicts with string keys. A tuple, with
/// or without its parentheses, is read as a list.
///
/// `None` if `source` isn't such a literal.
pub fn literal_eval(source: &str) -> Option<Value> {
    let mut reader = Reader { rest: source.trim(), depth: 0 };
    let first = reader.value()?;
    if !reader.eat(",") {
        reader.space();
        return reader.rest.is_empty().then_some(first);
    }
    let mut items = vec![first];
    loop {
        reader.space();
        if reader.rest.is_empty() {
            return Some(Value::Array(items));
        }
        items.push(reader.value()?);
        if !reader.eat(",") {
            reader.space();
            return reader.rest.is_empty().then_some(Value::Array(items));
        }
    }
}

/// No dataset nests deeper than this, and unbounded nesting would exhaust the stack.
const MAX_DEPTH: usize = 64;

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        if self.begins_string() {
            let mut text = self.string()?;
            // Adjacent strings are concatenated, as in Python.
            loop {
                self.space();
                if !self.begins_string() {
                    return Some(Value::String(text));
                }
                text.push_str(&self.string()?);
            }
        }
        match self.rest.chars().next()? {
            '[' => self.nested("[", "]").map(|(items, _)| Value::Array(items)),
            '(' => match self.nested("(", ")")? {
                // Parentheses around a value, without a comma, are no tuple.
                (mut items, false) if items.len() == 1 => items.pop(),
                (items, _) => Some(Value::Array(items)),
            },
            '{' => self.dict(),
            _ => self.word(),
        }
    }

    /// Whether a string is next, with its prefix.
    fn begins_string(&self) -> bool {
        let body = self.rest.strip_prefix(['r', 'R', 'u', 'U']).unwrap_or(self.rest);
        body.starts_with(['\'', '"'])
    }

    /// The items between two brackets, and whether a comma stands behind the last one.
    fn nested(&mut self, open: &str, close: &str) -> Option<(Vec<Value>, bool)> {
        self.eat(open);
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            if self.eat(close) {
                self.depth -= 1;
                return Some((items, comma));
            }
            items.push(self.value()?);
            comma = self.eat(",");
            self.space();
            if !comma && !self.rest.starts_with(close) {
                return None;
            }
        }
    }

    fn dict(&mut self) -> Option<Value> {
        self.eat("{");
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let mut map = Map::new();
        loop {
            if self.eat("}") {
                self.depth -= 1;
                return Some(Value::Object(map));
            }
            let Value::String(key) = self.value()? else { return None };
            if !self.eat(":") {
                return None;
            }
            let value = self.value()?;
            map.insert(key, value);
            if !self.eat(",")
                && !{
                    self.space();
                    self.rest.starts_with('}')
                }
            {
                return None;
            }
        }
    }

    /// A string: in single or triple quotes, plain or raw.
    fn string(&mut self) -> Option<String> {
        let is_raw = self.rest.starts_with(['r', 'R']);
        let body = self.rest.strip_prefix(['r', 'R', 'u', 'U']).unwrap_or(self.rest);
        let quote = body.chars().next()?;
        let triple = ["\"\"\"", "'''"].into_iter().find(|triple| body.starts_with(triple));
        let end = triple.unwrap_or(&body[..1]);
        let body = &body[end.len()..];
        let mut chars = body.char_indices();
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote && body[at..].starts_with(end) => {
                    self.rest = &body[at + end.len()..];
                    return Some(text);
                }
                '\n' if triple.is_none() => return None,
                '\\' if is_raw => {
                    text.push('\\');
                    text.push(chars.next()?.1);
                }
                '\\' => match chars.next()?.1 {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    digit @ '0'..='7' => {
                        // Up to three octal digits.
                        let mut code = digit as u32 - '0' as u32;
                        for _ in 0..2 {
                            let Some(next) = chars.clone().next().and_then(|(_, c)| c.to_digit(8)) else {
                                break;
                            };
                            chars.next();
                            code = code * 8 + next;
                        }
                        text.push(char::from_u32(code)?);
                    }
                    'a' => text.push('\u{7}'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'v' => text.push('\u{b}'),
                    '\n' => {}
                    'x' => text.push(code_point(&mut chars, 2)?),
                    'u' => text.push(code_point(&mut chars, 4)?),
                    'U' => text.push(code_point(&mut chars, 8)?),
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    // A character by name: no dataset uses it.
                    'N' => return None,
                    // Python keeps an unknown escape unchanged.
                    c => {
                        text.push('\\');
                        text.push(c);
                    }
                },
                c => text.push(c),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find([',', ']', ')', '}', ':', ' ', '\n', '\t']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            _ => {
                let digits = word.replace('_', "");
                let body = digits.trim_start_matches(['+', '-']);
                // No name, and none of the whole numbers with zeros before them, which Python refuses.
                if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                    return None;
                }
                if body.len() > 1 && body.starts_with('0') && body.bytes().all(|byte| byte.is_ascii_digit()) {
                    return body.bytes().all(|byte| byte == b'0').then(|| Value::from(0));
                }
                if let Ok(int) = digits.parse::<i64>() {
                    return Some(Value::Number(int.into()));
                }
                digits.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number)
            }
        }
    }
}

fn code_point(chars: &mut std::str::CharIndices<'_>, digits: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + chars.next()?.1.to_digit(16)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_python_writes() {
        for (source, expected) in [
            ("['a', \"b's\", 'c\\n\\'\"']", json!(["a", "b's", "c\n'\""])),
            ("(1, -2, 3.5, 1e3)", json!([1, -2, 3.5, 1000.0])),
            ("{'text': ['x'], 'n': None, 'yes': True}", json!({"text": ["x"], "n": null, "yes": true})),
            ("[]", json!([])),
            (" [1, 2,] ", json!([1, 2])),
            ("'a' 'b'", json!("ab")),
            ("'\\x41\\u00e9'", json!("Aé")),
            ("['''it's\na \"b\"''', \"\"\"c\"\"d\"\"\", '']", json!(["it's\na \"b\"", "c\"\"d", ""])),
            (
                "[''''a''', \"\"\"\"\"\", r'\\n\\'', u'b', R\"\"\"\\\"\"\"\"]",
                json!(["'a", "", "\\n\\'", "b", "\\\""]),
            ),
            ("'a' \"b\" '''c'''", json!("abc")),
            ("('a')", json!("a")),
            ("['a', ('b'), ('c',), ()]", json!(["a", "b", ["c"], []])),
            ("'a', 'b'", json!(["a", "b"])),
            ("1,", json!([1])),
            ("[0, 00, -7]", json!([0, 0, -7])),
        ] {
            assert_eq!(literal_eval(source), Some(expected), "{source}");
        }
    }

    #[test]
    fn refuses_what_is_no_literal() {
        for source in [
            "",
            "hello",
            "[1, 2",
            "[1 2]",
            "'open",
            "[a]",
            "nan",
            "1 2",
            "{1: 2}",
            "[007]",
            "'''open''",
            "'a\nb'",
            "r'\\'",
            "f'a'",
            "b'a'",
            ",",
            "-inf",
            &"[".repeat(1000),
        ] {
            assert_eq!(literal_eval(source), None, "{source}");
        }
    }

    #[test]
    fn repr_is_read_back() {
        for text in ["plain", "it's", "a \"quote\"", "both ' and \"", "line\nfeed\ttab\\", "\u{1}é☃"] {
            let mut source = String::new();
            repr_str(text, &mut source);
            assert_eq!(literal_eval(&source), Some(Value::String(text.into())), "{source}");
        }
    }

    #[test]
    fn floats_are_written_as_python_does() {
        for (x, expected) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(repr_float(x), expected);
        }
    }
}

//! JSON as pyarrow reads it: `NaN`, `Infinity` and `-Infinity` are numbers, and values stand one after the other.

use crate::bounds::{Claim, NoRoom};
use crate::vocabulary::{Cell, Row};

const MAX_DEPTH: usize = 128;
/// Bytes of a value in a list or under a name, whose lists grow by doubling.
const VALUE: usize = 96;

/// Reads one value after the other from a text.
pub struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// What the values take.
    claim: Claim,
    no_room: Option<NoRoom>,
}

impl<'a> JsonReader<'a> {
    /// A reader at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, claim: Claim::default(), no_room: None }
    }

    /// The next value; `None` at the end of the text.
    ///
    /// # Errors
    /// What is wrong, with its line and column.
    pub fn next(&mut self) -> Result<Option<Cell>, String> {
        self.space();
        if self.at == self.text.len() { Ok(None) } else { self.value().map(Some) }
    }

    /// Why reading ended, if it was for want of memory.
    pub fn no_room(&self) -> Option<&NoRoom> {
        self.no_room.as_ref()
    }

    /// Where the next value begins, in bytes.
    pub fn position(&mut self) -> usize {
        self.space();
        self.at
    }

    /// The line of a position, from 1. It counts from the beginning of the text: for messages only.
    pub fn line_of(&self, position: usize) -> usize {
        self.text[..position].matches('\n').count() + 1
    }

    fn fault(&self, what: &str) -> String {
        let before = &self.text[..self.at];
        let line = self.line_of(self.at);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: {what}")
    }

    fn expected(&self, what: &str) -> String {
        match self.text[self.at..].chars().next() {
            Some(c @ ('\'' | '"')) => self.fault(&format!("expected {what}, found `{c}`")),
            Some(c) => self.fault(&format!("expected {what}, found `{}`", c.escape_debug())),
            None => self.fault(&format!("expected {what}, found the end of the file")),
        }
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let is_there = self.text[self.at..].starts_with(token);
        self.at += if is_there { token.len() } else { 0 };
        is_there
    }

    fn value(&mut self) -> Result<Cell, String> {
        self.space();
        let from = self.at;
        let value = self.any_value();
        let text = match &value {
            Ok(Cell::List(_)) | Err(_) => 0,
            Ok(Cell::Struct(entries)) => entries.keys().map(String::len).sum(),
            Ok(_) => self.at - from,
        };
        let bytes = VALUE + text;
        if let Err(no_room) = self.claim.grow(bytes as u64) {
            let fault = self.fault(&no_room.to_string());
            self.no_room = Some(no_room);
            return Err(fault);
        }
        value
    }

    fn any_value(&mut self) -> Result<Cell, String> {
        const WORDS: [(&str, Cell); 9] = [
            ("null", Cell::Null),
            ("true", Cell::Bool(true)),
            ("false", Cell::Bool(false)),
            ("NaN", Cell::Float(f64::NAN)),
            ("-NaN", Cell::Float(f64::NAN)),
            ("Infinity", Cell::Float(f64::INFINITY)),
            ("-Infinity", Cell::Float(f64::NEG_INFINITY)),
            ("Inf", Cell::Float(f64::INFINITY)),
            ("-Inf", Cell::Float(f64::NEG_INFINITY)),
        ];
        match self.text.as_bytes().get(self.at) {
            Some(b'"') => self.string().map(Cell::Text),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-') if self.text[self.at + 1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            Some(b'0'..=b'9') => self.number(),
            _ => {
                let word = WORDS.into_iter().find(|(word, _)| self.eat(word));
                word.map(|(_, value)| value).ok_or_else(|| self.expected("a value"))
            }
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Cell, String>) -> Result<Cell, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault(&format!("values nest deeper than {MAX_DEPTH}")));
        }
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Cell, String> {
        let mut items = Vec::new();
        self.space();
        if self.eat("]") {
            return Ok(Cell::List(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            if self.eat("]") {
                return Ok(Cell::List(items));
            }
            if !self.eat(",") {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn object(&mut self) -> Result<Cell, String> {
        let mut entries = Row::new();
        self.space();
        if self.eat("}") {
            return Ok(Cell::Struct(entries));
        }
        loop {
            self.space();
            if !self.text[self.at..].starts_with('"') {
                return Err(self.expected("a name in double quotes"));
            }
            let start = self.at;
            let name = self.string()?;
            if entries.contains_key(&name) {
                self.at = start;
                return Err(self.fault(&format!("`{name}` stands twice in an object")));
            }
            self.space();
            if !self.eat(":") {
                return Err(self.expected("`:`"));
            }
            let value = self.value()?;
            entries.insert(name, value);
            self.space();
            if self.eat("}") {
                return Ok(Cell::Struct(entries));
            }
            if !self.eat(",") {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn number(&mut self) -> Result<Cell, String> {
        let start = self.at;
        self.eat("-");
        // A zero begins no longer number.
        if !self.eat("0") {
            self.digits();
        }
        let mut whole = true;
        if self.eat(".") {
            whole = false;
            if !self.digits() {
                return Err(self.expected("a digit"));
            }
        }
        if self.eat("e") || self.eat("E") {
            whole = false;
            let _ = self.eat("+") || self.eat("-");
            if !self.digits() {
                return Err(self.expected("a digit"));
            }
        }
        let text = &self.text[start..self.at];
        if whole && let Ok(number) = text.parse::<i128>() {
            return Ok(Cell::Int(number));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Cell::Float(number)),
            _ => {
                self.at = start;
                Err(self.fault(&format!("{text} is more than a double holds")))
            }
        }
    }

    fn digits(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let count = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        self.at += count;
        count > 0
    }

    /// A text in quotes.
    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| matches!(c, '"' | '\\' | '\0'..='\u{1f}')).unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            if self.eat("\"") {
                return Ok(out);
            }
            if !self.eat("\\") {
                return Err(self.expected("the end of a text, or its control character escaped"));
            }
            let Some(escape) = self.text[self.at..].chars().next() else {
                return Err(self.expected("an escape"));
            };
            let c = match escape {
                '"' | '\\' | '/' => escape,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    out.push(self.unicode()?);
                    continue;
                }
                _ => return Err(self.expected("an escape that JSON has")),
            };
            out.push(c);
            self.at += 1;
        }
    }

    /// A `\u` escape, of which the backslash is read, with the second one of a surrogate pair.
    fn unicode(&mut self) -> Result<char, String> {
        let start = self.at;
        let unit = |reader: &mut Self| {
            let digits = reader.text.get(reader.at + 1..reader.at + 5);
            let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
            let unit = unit.ok_or_else(|| reader.fault("expected four hexadecimal digits after `\\u`"))?;
            reader.at += 5;
            Ok::<u16, String>(unit)
        };
        let mut units = vec![unit(self)?];
        if (0xd800..0xdc00).contains(&units[0]) && self.text[self.at..].starts_with("\\u") {
            self.at += 1;
            units.push(unit(self)?);
        }
        match char::decode_utf16(units).next() {
            Some(Ok(c)) => Ok(c),
            _ => {
                self.at = start;
                Err(self.fault("half of a surrogate pair"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let mut reader = JsonReader::new(text);
        let mut all = Vec::new();
        while let Some(value) = reader.next()? {
            all.push(format!("{value:?}"));
        }
        Ok(all.join(" "))
    }

    #[test]
    fn values_are_read() {
        for (text, expected) in [
            ("{\"a\": [1, -2.5e1, NaN], \"b\": {}} []", "{\"a\": [1, -25.0, NaN], \"b\": {}} []"),
            ("[Infinity, -Infinity, -Inf, null, true]", "[inf, -inf, -inf, None, true]"),
            ("\"\\ud83d\\ude00 \\u00e9\\/\\n\\u0000\"", "\"😀 é/\\n\\0\""),
            ("-0 -0.0 0.1234567890123456789", "0 -0.0 0.12345678901234568"),
            (
                "18446744073709551615 123456789012345678901234567890",
                "18446744073709551615 123456789012345678901234567890",
            ),
            (" \r\n\t", ""),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, expected) in [
            ("{\"x\": nan}", "line 1, column 7: expected a value, found `n`"),
            ("{}\n{\"x\": +1}", "line 2, column 7: expected a value, found `+`"),
            ("[01]", "line 1, column 3: expected `,` or `]`, found `1`"),
            ("{\"x\": 1,}", "line 1, column 9: expected a name in double quotes, found `}`"),
            ("{'x': 1}", "line 1, column 2: expected a name in double quotes, found `'`"),
            ("{\"x\": 1, \"x\": 2}", "line 1, column 10: `x` stands twice in an object"),
            ("[1e999]", "line 1, column 2: 1e999 is more than a double holds"),
            ("[1.]", "line 1, column 4: expected a digit, found `]`"),
            (
                "[\"a\tb\"]",
                "line 1, column 4: expected the end of a text, or its control character escaped, found `\\t`",
            ),
            ("\"\\ud800\"", "line 1, column 3: half of a surrogate pair"),
            ("\"\\u12é\"", "line 1, column 3: expected four hexadecimal digits after `\\u`"),
            ("\"\\x\"", "line 1, column 3: expected an escape that JSON has, found `x`"),
            ("[1", "line 1, column 3: expected `,` or `]`, found the end of the file"),
            (&"[".repeat(200), "line 1, column 129: values nest deeper than 128"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
    }
}

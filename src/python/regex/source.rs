//! A pattern or a replacement as it is read: a character or an escape at a time.

use crate::python::literal::repr_str;

/// A character, or a backslash and what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Plain(char),
    Escaped(char),
}

impl Token {
    /// Length in characters.
    pub fn len(self) -> usize {
        match self {
            Token::Plain(_) => 1,
            Token::Escaped(_) => 2,
        }
    }

    /// As it is written.
    pub fn text(self) -> String {
        match self {
            Token::Plain(c) => c.to_string(),
            Token::Escaped(c) => format!("\\{c}"),
        }
    }
}

/// Reads tokens. Positions are characters from the beginning, as in Python's messages.
#[derive(Debug)]
pub struct Source {
    chars: Vec<char>,
    index: usize,
    /// What [`get`](Self::get) gives next.
    pub next: Option<Token>,
    /// Whether a backslash at the end was reached, which escapes nothing.
    is_broken: bool,
}

impl Source {
    /// At the first token.
    pub fn new(text: &str) -> Self {
        let mut source = Self { chars: text.chars().collect(), index: 0, next: None, is_broken: false };
        source.advance();
        source
    }

    /// What was read, unless a backslash at the end was reached before.
    pub fn whole<T>(&self, read: Result<T, String>) -> Result<T, String> {
        if self.is_broken {
            return Err(self.error_at("bad escape (end of pattern)", self.chars.len() - 1));
        }
        read
    }

    fn advance(&mut self) {
        self.next = match (self.chars.get(self.index), self.chars.get(self.index + 1)) {
            (Some('\\'), Some(c)) => Some(Token::Escaped(*c)),
            (Some('\\'), None) => {
                self.is_broken = true;
                None
            }
            (Some(c), _) => Some(Token::Plain(*c)),
            (None, _) => None,
        };
        self.index += self.next.map_or(0, Token::len);
    }

    /// The next token.
    pub fn get(&mut self) -> Option<Token> {
        let token = self.next;
        self.advance();
        token
    }

    /// Reads `c` if it is next.
    pub fn take(&mut self, c: char) -> bool {
        let is_next = self.is_next(c);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Whether `c` is next.
    pub fn is_next(&self, c: char) -> bool {
        self.next == Some(Token::Plain(c))
    }

    /// Adds up to `n` digits to `out`.
    pub fn digits(&mut self, n: usize, radix: u32, out: &mut String) {
        for _ in 0..n {
            match self.next {
                Some(Token::Plain(c)) if c.is_digit(radix) => out.push(c),
                _ => break,
            }
            self.advance();
        }
    }

    /// A name up to `terminator`, which is read.
    pub fn until(&mut self, terminator: char, what: &str) -> Result<String, String> {
        let mut name = String::new();
        loop {
            let token = self.get();
            match token {
                None if name.is_empty() => return Err(self.error(&format!("missing {what}"), 0)),
                None => {
                    let length = name.chars().count();
                    return Err(self.error(&format!("missing {terminator}, unterminated name"), length));
                }
                Some(Token::Plain(c)) if c == terminator && name.is_empty() => {
                    return Err(self.error(&format!("missing {what}"), 1));
                }
                Some(Token::Plain(c)) if c == terminator => return Ok(name),
                Some(token) => name.push_str(&token.text()),
            }
        }
    }

    /// Position of the next token.
    pub fn tell(&self) -> usize {
        self.index - self.next.map_or(0, Token::len)
    }

    /// Continues at `position`.
    pub fn seek(&mut self, position: usize) {
        self.index = position;
        self.advance();
    }

    /// A message with the position `back` characters before the next token.
    pub fn error(&self, message: &str, back: usize) -> String {
        self.error_at(message, self.tell().saturating_sub(back))
    }

    /// A message with a position, and its line and column if the pattern has several lines.
    pub fn error_at(&self, message: &str, position: usize) -> String {
        // A message quotes the pattern, and is one line.
        let message = message.replace(['\n', '\r'], " ");
        let before = &self.chars[..position.min(self.chars.len())];
        if !self.chars.contains(&'\n') {
            return format!("{message} at position {position}");
        }
        let line = before.iter().filter(|c| **c == '\n').count() + 1;
        let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
        format!("{message} at position {position} (line {line}, column {column})")
    }
}

/// `repr(name)`.
pub fn quoted(name: &str) -> String {
    let mut out = String::new();
    repr_str(name, &mut out);
    out
}

/// `int(text)` of ASCII digits, if it is not negative. What is larger than any group's number is the largest.
pub fn whole_number(text: &str) -> Option<usize> {
    let text = crate::python::text::strip(text);
    let digits = text.strip_prefix('+').unwrap_or(text);
    let digits = if digits == text { text.strip_prefix('-').unwrap_or(text) } else { digits };
    let grouped = digits.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let value = digits.replace('_', "").parse().unwrap_or(usize::MAX);
    (grouped && (value == 0 || !text.starts_with('-'))).then_some(value)
}

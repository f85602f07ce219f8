//! Reads a pattern as Python 3.11 does, with its messages.

use std::collections::{BTreeMap, HashMap};

use super::inline_flags::{InlineFlags, inline_flags, is_flag};
use super::source::{Source, Token, quoted, whole_number};
use super::syntax::{Flags, Greed, Member, Node, Place, Sequence, UNLIMITED, Width, width};
use super::{characters, escape};

/// How deep groups may nest: a few hundred in Python too, where its stack ends.
const MAX_NESTING: usize = 200;
/// The number of a group is less.
pub const MAX_GROUPS: usize = 1 << 30;

/// A pattern that is read.
#[derive(Debug)]
pub struct Parsed {
    pub sequence: Sequence,
    pub flags: Flags,
    /// Widths of the groups; the first stands for the whole.
    pub widths: Vec<Option<Width>>,
    pub names: HashMap<String, usize>,
}

/// Reads `pattern`. The error is Python's message.
pub fn parse(pattern: &str) -> Result<Parsed, String> {
    let mut parser = Parser {
        source: Source::new(pattern),
        flags: Flags::default(),
        names: HashMap::new(),
        widths: vec![None],
        before_look_behind: None,
        asked: BTreeMap::new(),
    };
    let read = parser.pattern();
    let sequence = parser.source.whole(read)?;
    Ok(Parsed { sequence, flags: parser.flags, widths: parser.widths, names: parser.names })
}

struct Parser {
    source: Source,
    flags: Flags,
    names: HashMap<String, usize>,
    /// Of the groups so far; `None` while one is open.
    widths: Vec<Option<Width>>,
    /// Number of groups before the outermost look-behind that is open.
    before_look_behind: Option<usize>,
    /// Groups by number that conditions ask for, and where: they may come later.
    asked: BTreeMap<usize, usize>,
}

impl Parser {
    fn error<T>(&self, message: &str, back: usize) -> Result<T, String> {
        Err(self.source.error(message, back))
    }

    fn pattern(&mut self) -> Result<Sequence, String> {
        let sequence = self.alternatives(false, 0)?;
        if self.flags.has(Flags::ASCII) && self.flags.has(Flags::UNICODE) {
            return Err("ASCII and UNICODE flags are incompatible".to_string());
        }
        if self.source.next.is_some() {
            return self.error("unbalanced parenthesis", 0);
        }
        match self.asked.range(self.widths.len()..).next() {
            Some((group, position)) => {
                Err(self.source.error_at(&format!("invalid group reference {group}"), *position))
            }
            None => Ok(sequence),
        }
    }

    /// `a|b|c`
    fn alternatives(&mut self, mut verbose: bool, depth: usize) -> Result<Sequence, String> {
        if depth > MAX_NESTING {
            return self.error(&format!("groups nested deeper than {MAX_NESTING} are not supported"), 0);
        }
        let mut items = Vec::new();
        loop {
            items.push(self.sequence(verbose, depth, depth == 0 && items.is_empty())?);
            if !self.source.take('|') {
                break;
            }
            if depth == 0 {
                verbose = self.flags.has(Flags::VERBOSE);
            }
        }
        Ok(branch(items))
    }

    /// Everything up to `|` or `)`. Flags for the entire pattern stand only where it `is_first`.
    fn sequence(&mut self, mut verbose: bool, depth: usize, is_first: bool) -> Result<Sequence, String> {
        let mut nodes = Sequence::new();
        while let Some(token) = self.source.next {
            if matches!(token, Token::Plain('|' | ')')) {
                break;
            }
            self.source.get();
            let c = match token {
                Token::Escaped(c) => {
                    nodes.push(self.escape(c)?);
                    continue;
                }
                Token::Plain(c) => c,
            };
            match c {
                ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' if verbose => {}
                '#' if verbose => while !matches!(self.source.get(), None | Some(Token::Plain('\n'))) {},
                '[' => nodes.push(escape::class(&mut self.source)?),
                '.' => nodes.push(Node::Any),
                '^' => nodes.push(Node::At(Place::Beginning)),
                '$' => nodes.push(Node::At(Place::End)),
                '*' | '+' | '?' | '{' => self.repeat(c, &mut nodes)?,
                '(' => {
                    let may_set_flags = is_first && nodes.is_empty();
                    nodes.extend(self.parenthesis(&mut verbose, depth, may_set_flags)?);
                }
                c => nodes.push(Node::Literal(c as u32)),
            }
        }
        // A plain group was kept until here, as a repeat takes it as one.
        let mut flat = Sequence::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Node::Group { index: None, added, deleted, body }
                    if added.is_empty() && deleted.is_empty() =>
                {
                    flat.extend(body);
                }
                node => flat.push(node),
            }
        }
        Ok(flat)
    }

    fn escape(&mut self, c: char) -> Result<Node, String> {
        let mut text = format!("\\{c}");
        let place = match c {
            'A' => Place::BeginningOfText,
            'Z' => Place::EndOfText,
            'b' => Place::Boundary,
            'B' => Place::NoBoundary,
            '0' => {
                self.source.digits(2, 8, &mut text);
                return Ok(Node::Literal(escape::octal(&self.source, &text)?));
            }
            '1'..='9' => {
                self.source.digits(1, 10, &mut text);
                let is_octal = text.len() == 3 && text[1..].chars().all(|c| c.is_digit(8));
                if is_octal && matches!(self.source.next, Some(Token::Plain('0'..='7'))) {
                    self.source.digits(1, 8, &mut text);
                    return Ok(Node::Literal(escape::octal(&self.source, &text)?));
                }
                let group = text[1..].parse().unwrap_or(usize::MAX);
                if group >= self.widths.len() {
                    return self.error(&format!("invalid group reference {group}"), text.len() - 1);
                }
                return self.reference(group, text.len());
            }
            c => return escape::outside(&mut self.source, c),
        };
        Ok(Node::At(place))
    }

    /// A reference to a group that is closed; `back` is the length of what was read.
    fn reference(&mut self, group: usize, back: usize) -> Result<Node, String> {
        if !self.is_closed(group) {
            return self.error("cannot refer to an open group", back);
        }
        self.check_look_behind(group)?;
        Ok(Node::Reference(group))
    }

    fn is_closed(&self, group: usize) -> bool {
        self.widths.get(group).is_some_and(Option::is_some)
    }

    fn check_look_behind(&self, group: usize) -> Result<(), String> {
        match self.before_look_behind {
            Some(_) if !self.is_closed(group) => self.error("cannot refer to an open group", 0),
            Some(before) if group >= before => {
                self.error("cannot refer to group defined in the same lookbehind subpattern", 0)
            }
            _ => Ok(()),
        }
    }

    /// Repeats the last node; a brace that begins no repeat is itself.
    fn repeat(&mut self, c: char, nodes: &mut Sequence) -> Result<(), String> {
        let behind = self.source.tell();
        let (min, max) = match c {
            '?' => (0, 1),
            '*' => (0, UNLIMITED),
            '+' => (1, UNLIMITED),
            _ => match self.braces(behind)? {
                Some(limits) => limits,
                None => {
                    nodes.push(Node::Literal('{' as u32));
                    return Ok(());
                }
            },
        };
        let body = match nodes.pop() {
            None | Some(Node::At(_)) => return Err(self.source.error_at("nothing to repeat", behind - 1)),
            Some(Node::Repeat { .. }) => return Err(self.source.error_at("multiple repeat", behind - 1)),
            Some(Node::Group { index: None, added, deleted, body })
                if added.is_empty() && deleted.is_empty() =>
            {
                body
            }
            Some(node) => vec![node],
        };
        let greed = if self.source.take('?') {
            Greed::Lazy
        } else if self.source.take('+') {
            Greed::Possessive
        } else {
            Greed::Greedy
        };
        nodes.push(Node::Repeat { min, max, greed, body });
        Ok(())
    }

    /// The limits in braces, or `None` if they are none.
    fn braces(&mut self, behind: usize) -> Result<Option<(u32, u32)>, String> {
        if self.source.is_next('}') {
            return Ok(None);
        }
        let (mut low, mut high) = (String::new(), String::new());
        self.source.digits(usize::MAX, 10, &mut low);
        if self.source.take(',') {
            self.source.digits(usize::MAX, 10, &mut high);
        } else {
            high.clone_from(&low);
        }
        if !self.source.take('}') {
            self.source.seek(behind);
            return Ok(None);
        }
        let limit = |text: &str, none: u32| match text.parse::<u32>() {
            _ if text.is_empty() => Ok(none),
            Ok(n) if n < UNLIMITED => Ok(n),
            _ => Err(self.source.error_at("the repetition number is too large", behind - 1)),
        };
        let (min, max) = (limit(&low, 0)?, limit(&high, UNLIMITED)?);
        if max < min {
            return Err(self.source.error_at("min repeat greater than max repeat", behind));
        }
        Ok(Some((min, max)))
    }

    /// What a parenthesis begins: nothing if it is a comment or flags of the entire pattern.
    fn parenthesis(
        &mut self,
        verbose: &mut bool,
        depth: usize,
        may_set_flags: bool,
    ) -> Result<Option<Node>, String> {
        let start = self.source.tell() - 1;
        if !self.source.take('?') {
            return self.capture(None, *verbose, depth, start).map(Some);
        }
        let Some(token) = self.source.get() else { return self.error("unexpected end of pattern", 0) };
        Ok(Some(match token {
            Token::Plain('P') if self.source.take('<') => {
                let name = self.name('>')?;
                self.capture(Some(name), *verbose, depth, start)?
            }
            Token::Plain('P') if self.source.take('=') => {
                let name = self.name(')')?;
                let back = name.chars().count() + 1;
                match self.names.get(&name) {
                    Some(group) => self.reference(*group, back)?,
                    None => return self.error(&format!("unknown group name {}", quoted(&name)), back),
                }
            }
            Token::Plain('P') => match self.source.get() {
                None => return self.error("unexpected end of pattern", 0),
                Some(c) => return self.error(&format!("unknown extension ?P{}", c.text()), c.len() + 2),
            },
            Token::Plain(':') => self.group(Flags::default(), Flags::default(), *verbose, depth, start)?,
            Token::Plain('>') => Node::Atomic(self.inside(*verbose, depth, start)?),
            Token::Plain('#') => loop {
                match self.source.get() {
                    None => return Err(self.source.error_at("missing ), unterminated comment", start)),
                    Some(Token::Plain(')')) => return Ok(None),
                    Some(_) => {}
                }
            },
            Token::Plain(c @ ('=' | '!')) => {
                Node::Look { behind: false, negated: c == '!', body: self.inside(*verbose, depth, start)? }
            }
            Token::Plain('<') => self.look_behind(*verbose, depth, start)?,
            Token::Plain('(') => self.conditional(*verbose, depth, start)?,
            Token::Plain(c) if c == '-' || is_flag(c) => match inline_flags(&mut self.source, c)? {
                InlineFlags::Group { added, deleted } => {
                    self.group(added, deleted, *verbose, depth, start)?
                }
                InlineFlags::Pattern(_) if !may_set_flags => {
                    let message = "global flags not at the start of the expression";
                    return Err(self.source.error_at(message, start));
                }
                InlineFlags::Pattern(flags) => {
                    self.flags = self.flags.with(flags);
                    *verbose = self.flags.has(Flags::VERBOSE);
                    return Ok(None);
                }
            },
            token => {
                let message = format!("unknown extension ?{}", token.text());
                return self.error(&message, token.len() + 1);
            }
        }))
    }

    fn inside(&mut self, verbose: bool, depth: usize, start: usize) -> Result<Sequence, String> {
        let body = self.alternatives(verbose, depth + 1)?;
        self.close(start)?;
        Ok(body)
    }

    fn close(&mut self, start: usize) -> Result<(), String> {
        if self.source.take(')') {
            Ok(())
        } else {
            Err(self.source.error_at("missing ), unterminated subpattern", start))
        }
    }

    fn group(
        &mut self,
        added: Flags,
        deleted: Flags,
        verbose: bool,
        depth: usize,
        start: usize,
    ) -> Result<Node, String> {
        let verbose = (verbose || added.has(Flags::VERBOSE)) && !deleted.has(Flags::VERBOSE);
        Ok(Node::Group { index: None, added, deleted, body: self.inside(verbose, depth, start)? })
    }

    fn capture(
        &mut self,
        name: Option<String>,
        verbose: bool,
        depth: usize,
        start: usize,
    ) -> Result<Node, String> {
        let index = self.widths.len();
        self.widths.push(None);
        if let Some(name) = name {
            if let Some(other) = self.names.get(&name) {
                let name_quoted = quoted(&name);
                let message =
                    format!("redefinition of group name {name_quoted} as group {index}; was group {other}");
                return self.error(&message, name.chars().count() + 1);
            }
            self.names.insert(name, index);
        }
        let body = self.inside(verbose, depth, start)?;
        let width = width(&body, &self.widths);
        self.widths[index] = Some(width);
        Ok(Node::Group { index: Some(index), added: Flags::default(), deleted: Flags::default(), body })
    }

    fn look_behind(&mut self, verbose: bool, depth: usize, start: usize) -> Result<Node, String> {
        let negated = match self.source.get() {
            None => return self.error("unexpected end of pattern", 0),
            Some(Token::Plain('=')) => false,
            Some(Token::Plain('!')) => true,
            Some(c) => return self.error(&format!("unknown extension ?<{}", c.text()), c.len() + 2),
        };
        let outer = self.before_look_behind;
        self.before_look_behind = outer.or(Some(self.widths.len()));
        let body = self.alternatives(verbose, depth + 1)?;
        self.before_look_behind = outer;
        self.close(start)?;
        Ok(Node::Look { behind: true, negated, body })
    }

    fn conditional(&mut self, verbose: bool, depth: usize, start: usize) -> Result<Node, String> {
        let name = self.source.until(')', "group name")?;
        let back = name.chars().count() + 1;
        let group = if characters::is_identifier(&name) {
            match self.names.get(&name) {
                Some(group) => *group,
                None => return self.error(&format!("unknown group name {}", quoted(&name)), back),
            }
        } else {
            match whole_number(&name) {
                None => return self.bad_name(&name, back),
                Some(0) => return self.error("bad group number", back),
                Some(group) if group >= MAX_GROUPS => {
                    return self.error(&format!("invalid group reference {group}"), back);
                }
                Some(group) => {
                    let position = self.source.tell() - back;
                    self.asked.entry(group).or_insert(position);
                    group
                }
            }
        };
        self.check_look_behind(group)?;
        if depth >= MAX_NESTING {
            return self.error(&format!("groups nested deeper than {MAX_NESTING} are not supported"), 0);
        }
        let yes = self.sequence(verbose, depth + 1, false)?;
        let mut no = Sequence::new();
        if self.source.take('|') {
            no = self.sequence(verbose, depth + 1, false)?;
            if self.source.is_next('|') {
                return self.error("conditional backref with more than two branches", 0);
            }
        }
        self.close(start)?;
        Ok(Node::Conditional { group, yes, no })
    }

    fn name(&mut self, terminator: char) -> Result<String, String> {
        let name = self.source.until(terminator, "group name")?;
        if characters::is_identifier(&name) {
            Ok(name)
        } else {
            self.bad_name(&name, name.chars().count() + 1)
        }
    }

    fn bad_name<T>(&self, name: &str, back: usize) -> Result<T, String> {
        self.error(&format!("bad character in group name {}", quoted(name)), back)
    }
}

/// Alternatives without what all begin with, and as a class if each is a character.
fn branch(mut items: Vec<Sequence>) -> Sequence {
    if items.len() == 1 {
        return items.remove(0);
    }
    let is_shared =
        |i: usize, first: &Node| items.iter().all(|item| item.get(i).is_some_and(|n| n.is_same_step(first)));
    let shared = items[0].iter().enumerate().take_while(|(i, node)| is_shared(*i, node)).count();
    let mut nodes = Sequence::new();
    for item in &mut items {
        nodes = item.drain(..shared).collect();
    }
    let mut members = Vec::new();
    for item in &items {
        match item.as_slice() {
            [Node::Literal(c)] => members.push(Member::Char(*c)),
            [Node::Class { negated: false, members: more }] => members.extend(more),
            _ => {
                nodes.push(Node::Branch(items));
                return nodes;
            }
        }
    }
    nodes.push(Node::Class { negated: false, members });
    nodes
}

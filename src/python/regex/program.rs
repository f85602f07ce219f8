//! A pattern as steps of a machine that goes back where it fails.

use std::collections::HashMap;

use super::analysis::{First, first, leaves_marks, passed_over};
use super::charset::{CharSet, Fold};
use super::parser::Parsed;
use super::syntax::{Flags, Greed, Node, Place, Sequence, Width, width};

/// A step. Numbers named `to` are steps, the others slots: marks of groups first, then registers of loops. Going
/// back to what is `soft` restores no marks but those of groups that had not matched.
#[derive(Debug, Clone)]
pub enum Op {
    /// These characters.
    Text(Box<str>),
    /// One character of the set.
    One(CharSet),
    /// As many characters of the set as the greed says.
    Each { set: CharSet, min: u32, max: u32, greed: Greed, soft: bool },
    /// A place.
    At(Position),
    /// Go on; if that fails, go on there.
    Split { to: usize, soft: bool },
    /// Go on there.
    Jump { to: usize },
    /// Keep the position.
    Mark(usize),
    /// The text of a group.
    Reference { group: usize, fold: Fold },
    /// Go on there if the group has not matched.
    Unless { group: usize, to: usize },
    /// Before a loop.
    Enter(Loop),
    /// Once more if that matches, or out of the loop, which is the next step.
    Again { body: usize, of: Loop },
    /// Out of the loop, or the next step, which is [`Retry`](Op::Retry).
    Leave { to: usize, body: usize, of: Loop, soft: bool },
    /// Once more, after it was left in vain.
    Retry { body: usize, of: Loop },
    /// Once more, not to be undone, or there.
    Hold { to: usize, of: Loop, height: usize },
    /// After a round of [`Hold`](Op::Hold), which is at `to`.
    Held { to: usize, height: usize },
    /// Begins an atomic group.
    Atomic { height: usize },
    /// Forgets the other ways through it.
    Commit { height: usize },
    /// Begins to look, so many characters back.
    Look { back: usize, height: usize, position: usize },
    /// Looked, and found: back to where it began.
    Looked { height: usize, position: usize },
    /// Begins to look for what may not be; if it is not, goes on there.
    LookNot { back: usize, height: usize, to: usize, soft: bool },
    /// Looked, and found what may not be.
    Forbidden { height: usize },
    /// The end of the pattern.
    Match,
}

/// Limits of a loop, and the registers of rounds begun and of the position where the last one began.
#[derive(Debug, Clone, Copy)]
pub struct Loop {
    pub min: u32,
    pub max: u32,
    pub count: usize,
    pub last: usize,
}

/// A place, by the flags that hold there.
#[derive(Debug, Clone, Copy)]
pub enum Position {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    /// The end, or before a line feed that ends the text.
    End,
    Boundary {
        negated: bool,
        ascii: bool,
    },
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Program {
    pub ops: Vec<Op>,
    /// Number of groups, the entire match included.
    pub groups: usize,
    /// Number of slots.
    pub slots: usize,
    pub names: HashMap<String, usize>,
    /// What every match begins with, if that is known.
    pub first: Option<First>,
    /// What else a match has to begin with in a search, by [`passed_over`].
    pub wanted: Option<CharSet>,
    /// The slot of the highest mark that is set, where it matters which are restored.
    pub last_mark: Option<usize>,
}

/// Compiles a pattern that was read.
pub fn compile(parsed: Parsed) -> Result<Program, String> {
    let groups = parsed.widths.len();
    let first = first(&parsed.sequence, parsed.flags);
    let wanted = match width(&parsed.sequence, &parsed.widths) {
        (0, _) => None,
        _ => passed_over(&parsed.sequence, parsed.flags),
    };
    let keeps_marks = leaves_marks(&parsed.sequence, &mut Vec::new());
    let mut compiler = Compiler {
        ops: Vec::new(),
        slots: 2 * groups + usize::from(keeps_marks),
        widths: parsed.widths,
        is_soft: keeps_marks,
    };
    compiler.sequence(&parsed.sequence, parsed.flags)?;
    compiler.ops.push(Op::Match);
    Ok(Program {
        ops: compiler.ops,
        groups,
        slots: compiler.slots,
        names: parsed.names,
        first,
        wanted,
        last_mark: keeps_marks.then_some(2 * groups),
    })
}

struct Compiler {
    ops: Vec<Op>,
    slots: usize,
    widths: Vec<Option<Width>>,
    /// Whether what is compiled is soft.
    is_soft: bool,
}

impl Compiler {
    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn sequence(&mut self, nodes: &[Node], flags: Flags) -> Result<(), String> {
        let mut text = String::new();
        for node in nodes {
            if let Node::Literal(code) = node
                && !Fold::of(flags).is_cased(*code)
                && let Some(c) = char::from_u32(*code)
            {
                text.push(c);
                continue;
            }
            self.text(&mut text);
            self.node(node, flags)?;
        }
        self.text(&mut text);
        Ok(())
    }

    fn text(&mut self, text: &mut String) {
        if !text.is_empty() {
            self.ops.push(Op::Text(std::mem::take(text).into_boxed_str()));
        }
    }

    fn node(&mut self, node: &Node, flags: Flags) -> Result<(), String> {
        match node {
            Node::Literal(_) | Node::NotLiteral(_) | Node::Any | Node::Class { .. } => {
                self.ops.extend(CharSet::of(node, flags).map(Op::One));
            }
            Node::At(place) => self.ops.push(Op::At(position(*place, flags))),
            Node::Branch(items) => self.branch(items, flags)?,
            Node::Group { index, added, deleted, body } => {
                self.ops.extend(index.map(|index| Op::Mark(2 * index)));
                self.sequence(body, flags.changed(*added, *deleted))?;
                self.ops.extend(index.map(|index| Op::Mark(2 * index + 1)));
            }
            Node::Atomic(body) => {
                let height = self.slot();
                self.ops.push(Op::Atomic { height });
                self.sequence(body, flags)?;
                self.ops.push(Op::Commit { height });
            }
            Node::Repeat { .. } if flags.has(Flags::TEMPLATE) => {
                return Err("internal: unsupported template operator".to_string());
            }
            Node::Repeat { min, max, greed, body } => self.repeat(*min, *max, *greed, body, flags)?,
            Node::Reference(group) => {
                self.ops.push(Op::Reference { group: *group, fold: Fold::of(flags) });
            }
            Node::Conditional { group, yes, no } => {
                let unless = self.reserve();
                self.sequence(yes, flags)?;
                let jump = self.reserve();
                self.ops[unless] = Op::Unless { group: *group, to: self.ops.len() };
                self.sequence(no, flags)?;
                self.ops[jump] = Op::Jump { to: self.ops.len() };
            }
            Node::Look { behind, negated, body } => self.look(*behind, *negated, body, flags)?,
        }
        Ok(())
    }

    /// A step that is written once its target is known.
    fn reserve(&mut self) -> usize {
        self.ops.push(Op::Match);
        self.ops.len() - 1
    }

    fn branch(&mut self, items: &[Sequence], flags: Flags) -> Result<(), String> {
        let mut jumps = Vec::new();
        for (i, item) in items.iter().enumerate() {
            if i + 1 == items.len() {
                self.sequence(item, flags)?;
                break;
            }
            let split = self.reserve();
            self.sequence(item, flags)?;
            jumps.push(self.reserve());
            self.ops[split] = Op::Split { to: self.ops.len(), soft: self.is_soft };
        }
        for jump in jumps {
            self.ops[jump] = Op::Jump { to: self.ops.len() };
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        min: u32,
        max: u32,
        greed: Greed,
        body: &[Node],
        flags: Flags,
    ) -> Result<(), String> {
        if let [node] = body
            && let Some(set) = CharSet::of(node, flags)
        {
            self.ops.push(Op::Each { set, min, max, greed, soft: self.is_soft });
            return Ok(());
        }
        let of = Loop { min, max, count: self.slot(), last: self.slot() };
        self.ops.push(Op::Enter(of));
        match greed {
            Greed::Greedy => {
                let jump = self.reserve();
                let begin = self.ops.len();
                self.round(body, flags)?;
                self.ops[jump] = Op::Jump { to: self.ops.len() };
                self.ops.push(Op::Again { body: begin, of });
            }
            Greed::Lazy => {
                let jump = self.reserve();
                let begin = self.ops.len();
                self.round(body, flags)?;
                self.ops[jump] = Op::Jump { to: self.ops.len() };
                let to = self.ops.len() + 2;
                self.ops.push(Op::Leave { to, body: begin, of, soft: self.is_soft });
                self.ops.push(Op::Retry { body: begin, of });
            }
            Greed::Possessive => {
                let height = self.slot();
                let hold = self.reserve();
                self.sequence(body, flags)?;
                self.ops.push(Op::Held { to: hold, height });
                self.ops[hold] = Op::Hold { to: self.ops.len(), of, height };
            }
        }
        Ok(())
    }

    /// The body of a loop, where all marks are restored.
    fn round(&mut self, body: &[Node], flags: Flags) -> Result<(), String> {
        let is_soft = std::mem::replace(&mut self.is_soft, false);
        self.sequence(body, flags)?;
        self.is_soft = is_soft;
        Ok(())
    }

    fn look(&mut self, behind: bool, negated: bool, body: &[Node], flags: Flags) -> Result<(), String> {
        let back = match width(body, &self.widths) {
            _ if !behind => 0,
            (low, _) if low > u64::from(u32::MAX) => return Err("looks too much behind".to_string()),
            (low, high) if low != high => {
                return Err("look-behind requires fixed-width pattern".to_string());
            }
            (low, _) => usize::try_from(low).unwrap_or(usize::MAX),
        };
        let height = self.slot();
        if negated {
            let look = self.reserve();
            self.sequence(body, flags)?;
            self.ops.push(Op::Forbidden { height });
            self.ops[look] = Op::LookNot { back, height, to: self.ops.len(), soft: self.is_soft };
        } else {
            let position = self.slot();
            self.ops.push(Op::Look { back, height, position });
            self.sequence(body, flags)?;
            self.ops.push(Op::Looked { height, position });
        }
        Ok(())
    }
}

fn position(place: Place, flags: Flags) -> Position {
    let multi_line = flags.has(Flags::MULTI_LINE);
    match place {
        Place::Beginning if multi_line => Position::LineStart,
        Place::Beginning | Place::BeginningOfText => Position::TextStart,
        Place::End if multi_line => Position::LineEnd,
        Place::End => Position::End,
        Place::EndOfText => Position::TextEnd,
        Place::Boundary => Position::Boundary { negated: false, ascii: flags.has(Flags::ASCII) },
        Place::NoBoundary => Position::Boundary { negated: true, ascii: flags.has(Flags::ASCII) },
    }
}

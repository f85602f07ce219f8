//! The parts of a parsed pattern.

/// A repeat without an upper limit.
pub const UNLIMITED: u32 = u32::MAX;

/// What `(?aimsux)` turns on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// `i`: letters match either case.
    pub const IGNORE_CASE: Flags = Flags(1);
    /// `m`: `^` and `$` match at lines.
    pub const MULTI_LINE: Flags = Flags(2);
    /// `s`: `.` matches a line feed.
    pub const DOT_ALL: Flags = Flags(4);
    /// `x`: white space and comments are left out.
    pub const VERBOSE: Flags = Flags(8);
    /// `a`: classes know ASCII only.
    pub const ASCII: Flags = Flags(16);
    /// `u`: classes know Unicode, the default.
    pub const UNICODE: Flags = Flags(32);
    /// `t`: nothing may repeat. Deprecated in Python 3.6, gone in 3.13.
    pub const TEMPLATE: Flags = Flags(64);

    /// The flag of a letter; `L` has none, as it is for patterns of bytes.
    pub fn of(letter: char) -> Option<Flags> {
        Some(match letter {
            'i' => Flags::IGNORE_CASE,
            'm' => Flags::MULTI_LINE,
            's' => Flags::DOT_ALL,
            'x' => Flags::VERBOSE,
            'a' => Flags::ASCII,
            'u' => Flags::UNICODE,
            't' => Flags::TEMPLATE,
            _ => return None,
        })
    }

    /// Whether any of `other` is set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of both.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These without `other`.
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Those of a group's content: `a` and `u` exclude each other.
    pub fn changed(self, added: Flags, deleted: Flags) -> Flags {
        let types = Flags::ASCII.with(Flags::UNICODE);
        let kept = if added.has(types) { self.without(types) } else { self };
        kept.with(added).without(deleted)
    }
}

/// `\d`, `\s` or `\w`, or its complement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category {
    pub kind: CategoryKind,
    pub negated: bool,
}

/// The characters of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CategoryKind {
    Digit,
    Space,
    Word,
}

/// A member of a class. Characters are code points: a pattern may name surrogates, which no text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    Char(u32),
    Range(u32, u32),
    Category(Category),
}

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `^`
    Beginning,
    /// `$`
    End,
    /// `\A`
    BeginningOfText,
    /// `\Z`
    EndOfText,
    /// `\b`
    Boundary,
    /// `\B`
    NoBoundary,
}

/// How a repeat proceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greed {
    /// As often as possible.
    Greedy,
    /// As rarely as possible.
    Lazy,
    /// As often as possible, and never less.
    Possessive,
}

/// One thing after the other.
pub type Sequence = Vec<Node>;

/// A part of a pattern.
#[derive(Debug, Clone)]
pub enum Node {
    Literal(u32),
    NotLiteral(u32),
    /// `.`
    Any,
    Class {
        negated: bool,
        members: Vec<Member>,
    },
    At(Place),
    /// `a|b`
    Branch(Vec<Sequence>),
    /// `(...)`, `(?:...)` and `(?i:...)`
    Group {
        index: Option<usize>,
        added: Flags,
        deleted: Flags,
        body: Sequence,
    },
    /// `(?>...)`
    Atomic(Sequence),
    Repeat {
        min: u32,
        max: u32,
        greed: Greed,
        body: Sequence,
    },
    /// `\1`
    Reference(usize),
    /// `(?(1)yes|no)`
    Conditional {
        group: usize,
        yes: Sequence,
        no: Sequence,
    },
    /// `(?=...)`, `(?!...)`, `(?<=...)` and `(?<!...)`
    Look {
        behind: bool,
        negated: bool,
        body: Sequence,
    },
}

impl Node {
    /// Whether two nodes match the same in one way only, so that alternatives may share them.
    pub fn is_same_step(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::Literal(a), Node::Literal(b)) | (Node::NotLiteral(a), Node::NotLiteral(b)) => a == b,
            (Node::Any, Node::Any) => true,
            (Node::At(a), Node::At(b)) => a == b,
            (Node::Reference(a), Node::Reference(b)) => a == b,
            (Node::Class { negated: a, members: x }, Node::Class { negated: b, members: y }) => {
                a == b && x == y
            }
            _ => false,
        }
    }
}

/// Fewest and most characters that match; [`u64::MAX`] stands for no limit.
pub type Width = (u64, u64);

/// The width of a sequence, by the widths of the groups before it.
pub fn width(sequence: &[Node], groups: &[Option<Width>]) -> Width {
    let either = |a: Width, b: Width| (a.0.min(b.0), a.1.max(b.1));
    let mut sum: Width = (0, 0);
    for node in sequence {
        let (low, high) = match node {
            Node::Literal(_) | Node::NotLiteral(_) | Node::Any | Node::Class { .. } => (1, 1),
            Node::At(_) | Node::Look { .. } => (0, 0),
            Node::Branch(items) => {
                items.iter().map(|item| width(item, groups)).reduce(either).unwrap_or((0, 0))
            }
            Node::Group { body, .. } | Node::Atomic(body) => width(body, groups),
            Node::Repeat { min, max, body, .. } => {
                let (low, high) = width(body, groups);
                let most = if *max == UNLIMITED { u64::MAX } else { u64::from(*max) };
                (low.saturating_mul(u64::from(*min)), high.saturating_mul(most))
            }
            Node::Reference(group) => groups.get(*group).copied().flatten().unwrap_or((0, 0)),
            Node::Conditional { yes, no, .. } => either(width(yes, groups), width(no, groups)),
        };
        sum = (sum.0.saturating_add(low), sum.1.saturating_add(high));
    }
    sum
}

//! What is known of a pattern before it is matched.

use super::charset::{CharSet, Fold};
use super::syntax::{Flags, Greed, Member, Node};

/// What a match may begin with.
#[derive(Debug, Clone, Copy)]
pub struct First {
    /// ASCII characters, as bits.
    pub ascii: u128,
    /// Whether other characters may.
    pub others: bool,
}

impl First {
    fn or(self, other: First) -> First {
        First { ascii: self.ascii | other.ascii, others: self.others || other.others }
    }
}

/// What every match of the sequence begins with; `None` if that is unknown, or it may match nothing.
pub fn first(nodes: &[Node], flags: Flags) -> Option<First> {
    let mut optional = First { ascii: 0, others: false };
    for node in nodes {
        let required = match node {
            Node::At(_) | Node::Look { .. } => continue,
            Node::Repeat { min: 0, body, .. } => {
                optional = optional.or(first(body, flags)?);
                continue;
            }
            Node::Literal(..128) if Fold::of(flags) == Fold::None => {
                CharSet::of(node, flags).map(|set| First { ascii: set.ascii(), others: false })
            }
            Node::Group { added, deleted, body, .. } => first(body, flags.changed(*added, *deleted)),
            Node::Atomic(body) | Node::Repeat { body, .. } => first(body, flags),
            Node::Branch(items) => {
                let none = First { ascii: 0, others: false };
                items.iter().try_fold(none, |all, item| Some(all.or(first(item, flags)?)))
            }
            node => CharSet::of(node, flags).map(|set| First { ascii: set.ascii(), others: true }),
        };
        return Some(optional.or(required?));
    }
    None
}

/// Python's search passes over characters by the class at the beginning, and reads `\d`, `\s` and `\w` in it by
/// the flags of the entire pattern. So `(?a:\D)` does not find a digit of another script, though it matches one.
pub fn passed_over(mut nodes: &[Node], all: Flags) -> Option<CharSet> {
    let mut flags = all;
    while let Node::Group { added, deleted, body, .. } = nodes.first()? {
        flags = flags.changed(*added, *deleted);
        nodes = body;
    }
    let Node::Class { members, .. } = nodes.first()? else { return None };
    let fold = Fold::of(flags);
    let is_cased = members.iter().any(|member| match member {
        Member::Char(code) => fold.is_cased(*code),
        Member::Range(low, high) => fold.is_range_cased(*low, *high),
        Member::Category(_) => false,
    });
    let differs = flags.has(Flags::ASCII) != all.has(Flags::ASCII);
    if is_cased || !differs { None } else { CharSet::of(nodes.first()?, all.without(Flags::IGNORE_CASE)) }
}

/// Whether Python may leave a group's marks of an attempt that failed where something sees them: it restores
/// them in loops, but not in possessive ones, and a condition may ask for the group that it stands in.
pub fn leaves_marks(nodes: &[Node], open: &mut Vec<usize>) -> bool {
    nodes.iter().any(|node| match node {
        Node::Group { index, body, .. } => {
            let height = open.len();
            open.extend(*index);
            let leaves = leaves_marks(body, open);
            open.truncate(height);
            leaves
        }
        Node::Repeat { greed, body, .. } => {
            *greed == Greed::Possessive && has_groups(body) || leaves_marks(body, open)
        }
        Node::Conditional { group, yes, no } => {
            open.contains(group) || leaves_marks(yes, open) || leaves_marks(no, open)
        }
        Node::Branch(items) => items.iter().any(|item| leaves_marks(item, open)),
        Node::Atomic(body) | Node::Look { body, .. } => leaves_marks(body, open),
        _ => false,
    })
}

fn has_groups(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Group { index, body, .. } => index.is_some() || has_groups(body),
        Node::Repeat { body, .. } | Node::Atomic(body) | Node::Look { body, .. } => has_groups(body),
        Node::Conditional { yes, no, .. } => has_groups(yes) || has_groups(no),
        Node::Branch(items) => items.iter().any(|item| has_groups(item)),
        _ => false,
    })
}

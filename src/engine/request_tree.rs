//! Requests that are answered together, as one tree of tokens.

use super::sequence::Sequence;
use super::tree::TokenTree;

/// Requests truncated to a model's context, and the tree of their tokens. It is built once, and used by the
/// plan and by the engine.
pub struct RequestTree<'s> {
    sequences: Vec<&'s Sequence>,
    tree: TokenTree,
}

impl<'s> RequestTree<'s> {
    /// Builds the tree.
    pub fn new(sequences: Vec<&'s Sequence>) -> Self {
        let tree = TokenTree::new(&sequences);
        Self { sequences, tree }
    }

    /// The requests, in the order given to [`new`](Self::new).
    pub fn sequences(&self) -> &[&'s Sequence] {
        &self.sequences
    }

    /// The tree of their tokens.
    pub fn tree(&self) -> &TokenTree {
        &self.tree
    }

    /// Whether there is nothing to answer.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }
}

//! All requests as one radix tree of tokens: every distinct prefix is a path, and is computed once.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::sequence::Sequence;

/// A run of tokens between two branching points.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node it continues.
    pub parent: Option<usize>,
    /// Position of its first token.
    pub start: usize,
    /// Position after its last token.
    pub end: usize,
    /// A sequence that runs through it.
    pub sequence: usize,
    /// Number of nodes that continue it.
    pub children: usize,
    /// What is read off its rows, by position.
    pub reads: Vec<Read>,
}

/// A prediction that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Position whose logits are read.
    pub position: usize,
    /// Index of the request.
    pub request: usize,
    /// Which of the request's targets is predicted there.
    pub target: usize,
}

/// A tree over sequences.
pub struct TokenTree {
    nodes: Vec<Node>,
    order: Vec<usize>,
}

impl TokenTree {
    /// Builds the tree. In sorted order adjacent sequences share the longest prefixes, so one walk with a
    /// stack is enough.
    pub fn new(sequences: &[&Sequence]) -> Self {
        let mut sorted: Vec<usize> = (0..sequences.len()).collect();
        sorted.par_sort_unstable_by(|&a, &b| compare(sequences[a], sequences[b]).then(a.cmp(&b)));

        let mut nodes: Vec<Node> = Vec::new();
        let mut leaves = vec![0; sequences.len()];
        let mut stack: Vec<usize> = Vec::new();
        let mut previous: Option<usize> = None;
        for &current in &sorted {
            let length = sequences[current].len();
            let shared = previous.map_or(0, |p| sequences[p].common_prefix(sequences[current]));
            while stack.last().is_some_and(|&top| nodes[top].start >= shared) {
                stack.pop();
            }
            if let Some(&top) = stack.last()
                && nodes[top].end > shared
            {
                // The node's upper part becomes a new node; the lower part keeps the index that `leaves`
                // holds.
                let upper = Node { end: shared, ..nodes[top].clone() };
                nodes.push(upper);
                let upper = nodes.len() - 1;
                nodes[top].parent = Some(upper);
                nodes[top].start = shared;
                stack.pop();
                stack.push(upper);
            }
            if length > shared {
                nodes.push(Node {
                    parent: stack.last().copied(),
                    start: shared,
                    end: length,
                    sequence: current,
                    children: 0,
                    reads: Vec::new(),
                });
                stack.push(nodes.len() - 1);
            }
            leaves[current] = stack.last().copied().unwrap_or_default();
            previous = Some(current);
        }
        for (request, sequence) in sequences.iter().enumerate() {
            let mut node = leaves[request];
            for target in (0..sequence.targets().len().max(1)).rev() {
                let position = sequence.first_read() + target;
                while nodes[node].start > position {
                    match nodes[node].parent {
                        Some(parent) => node = parent,
                        None => break,
                    }
                }
                nodes[node].reads.push(Read { position, request, target });
            }
        }
        for node in &mut nodes {
            node.reads.sort_by_key(|read| (read.position, read.request));
        }
        let order = depth_first(&mut nodes, &sorted);
        Self { nodes, order }
    }

    /// The nodes; a node's id is its index here.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes in depth-first order: parents before their children, each subtree contiguous.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Tokens to compute: one for each distinct prefix.
    pub fn tokens(&self) -> usize {
        self.nodes.iter().map(|node| node.end - node.start).sum()
    }
}

fn compare(a: &Sequence, b: &Sequence) -> Ordering {
    let shared = a.common_prefix(b);
    a.iter().nth(shared).cmp(&b.iter().nth(shared))
}

fn depth_first(nodes: &mut [Node], sorted: &[usize]) -> Vec<usize> {
    let mut rank = vec![0; sorted.len()];
    for (place, &sequence) in sorted.iter().enumerate() {
        rank[sequence] = place;
    }
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut stack = Vec::new();
    for (id, node) in nodes.iter().enumerate() {
        match node.parent {
            Some(parent) => children[parent].push(id),
            None => stack.push(id),
        }
    }
    for (id, family) in children.iter_mut().enumerate() {
        family.sort_by_key(|&child| std::cmp::Reverse(rank[nodes[child].sequence]));
        nodes[id].children = family.len();
    }
    stack.sort_by_key(|&root| std::cmp::Reverse(rank[nodes[root].sequence]));
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(id) = stack.pop() {
        order.push(id);
        stack.extend_from_slice(&children[id]);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::TokenRequest;
    use crate::vocabulary::RequestId;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const ID: RequestId = RequestId { task: 0, document: 0, request: 0 };

    fn request(context: Vec<u32>, continuation: Vec<u32>) -> TokenRequest {
        let context = context.into();
        if continuation.is_empty() {
            TokenRequest::GenerateUntil { context, until: Vec::new().into(), max_new_tokens: 4 }
        } else {
            TokenRequest::Loglikelihood { context, continuation }
        }
    }

    fn path(tree: &TokenTree, sequences: &[&Sequence], mut node: usize) -> Vec<u32> {
        let mut parts = Vec::new();
        loop {
            let Node { start, end, sequence, parent, .. } = tree.nodes()[node];
            parts.push(sequences[sequence].slice(start, end));
            match parent {
                Some(parent) => node = parent,
                None => break,
            }
        }
        parts.into_iter().rev().flatten().collect()
    }

    proptest! {
        #[test]
        fn every_distinct_prefix_is_computed_once_and_every_read_is_of_its_own_text(
            texts in prop::collection::vec(
                (prop::collection::vec(0u32..3, 1..6), prop::collection::vec(0u32..3, 0..4)), 1..12)
        ) {
            let requests: Vec<TokenRequest> = texts.into_iter().map(|(a, b)| request(a, b)).collect();
            let fitted: Vec<Sequence> = requests.into_iter().map(|r| Sequence::new(ID, r, 100).unwrap()).collect();
            let sequences: Vec<&Sequence> = fitted.iter().collect();
            let tree = TokenTree::new(&sequences);

            let mut prefixes = HashSet::new();
            for sequence in &sequences {
                for end in 1..=sequence.len() {
                    prefixes.insert(sequence.slice(0, end));
                }
            }
            prop_assert_eq!(tree.tokens(), prefixes.len());

            let mut reads = 0;
            for (id, node) in tree.nodes().iter().enumerate() {
                let text = path(&tree, &sequences, id);
                prop_assert_eq!(text.len(), node.end);
                for read in &node.reads {
                    prop_assert!((node.start..node.end).contains(&read.position));
                    let own = sequences[read.request].slice(0, read.position + 1);
                    prop_assert_eq!(&text[..read.position + 1], own.as_slice());
                    reads += 1;
                }
            }
            prop_assert_eq!(reads, sequences.iter().map(|s| s.targets().len().max(1)).sum::<usize>());

            let mut seen = HashSet::new();
            for &id in tree.order() {
                prop_assert!(tree.nodes()[id].parent.is_none_or(|p| seen.contains(&p)));
                seen.insert(id);
            }
            prop_assert_eq!(seen.len(), tree.nodes().len());
        }
    }
}

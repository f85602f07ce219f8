//! A request as one run of tokens: what is fed, and where it is read.

use crate::tokenizer::TokenRequest;

/// What a model is fed for a request, after truncation.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    context: &'a [u32],
    /// All but the last token, which is only predicted.
    fed: &'a [u32],
    /// What is predicted, from the context's last token on; empty for a generation.
    pub targets: &'a [u32],
    /// Tokens of the context that did not fit, cut from the left.
    pub cut: usize,
}

impl<'a> Sequence<'a> {
    /// Cuts a request to `max_length` positions, from the left.
    ///
    /// As in the leaderboard's harness: `(context + continuation)[-(max_length + 1):][:-1]`, and a generation keeps the last
    /// `max_length - max_new_tokens` tokens of its context. `None` where nothing of a context would be left.
    pub fn new(request: &'a TokenRequest, max_length: usize) -> Option<Self> {
        let context: &[u32] = request.context();
        let (targets, room) = match request {
            TokenRequest::Loglikelihood { continuation, .. } => {
                (continuation.as_slice(), (max_length + 1).checked_sub(continuation.len())?)
            }
            TokenRequest::GenerateUntil { max_new_tokens, .. } => {
                (&[][..], max_length.checked_sub(*max_new_tokens)?)
            }
        };
        let cut = context.len().saturating_sub(room);
        let context = &context[cut..];
        if context.is_empty() {
            return None;
        }
        let fed = &targets[..targets.len().saturating_sub(1)];
        Some(Self { context, fed, targets, cut })
    }

    /// Tokens fed.
    pub fn len(&self) -> usize {
        self.context.len() + self.fed.len()
    }

    /// Never: a sequence has a context.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position whose logits predict the first target, or the first generated token.
    pub fn first_read(&self) -> usize {
        self.context.len() - 1
    }

    /// The tokens fed, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + 'a {
        self.context.iter().chain(self.fed).copied()
    }

    /// Tokens `from..to` of those fed.
    pub fn slice(&self, from: usize, to: usize) -> Vec<u32> {
        let split = self.context.len();
        let mut tokens = Vec::with_capacity(to - from);
        if from < split {
            tokens.extend_from_slice(&self.context[from..to.min(split)]);
        }
        if to > split {
            tokens.extend_from_slice(&self.fed[from.saturating_sub(split)..to - split]);
        }
        tokens
    }

    /// How many tokens two sequences begin with in common.
    pub fn common_prefix(&self, other: &Self) -> usize {
        if self.context.len() > other.context.len() {
            return other.common_prefix(self);
        }
        // Choices of one document share their context's memory.
        let same = std::ptr::eq(self.context, other.context);
        let shared = if same { self.context.len() } else { common(self.context, other.context) };
        if shared < self.context.len() {
            return shared;
        }
        // The other context may go on as this continuation does, and end within it.
        let rest = &other.context[shared..];
        let within = common(self.fed, rest);
        let beyond = if within == rest.len() { common(&self.fed[within..], other.fed) } else { 0 };
        shared + within + beyond
    }
}

/// How many tokens two runs begin with in common.
fn common(a: &[u32], b: &[u32]) -> usize {
    // Blocks are compared many tokens at a time.
    const BLOCK: usize = 64;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let equal = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    equal + a[equal..].iter().zip(&b[equal..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn score(context: &[u32], continuation: &[u32]) -> TokenRequest {
        TokenRequest::Loglikelihood { context: Arc::from(context), continuation: continuation.to_vec() }
    }

    #[test]
    fn truncation_is_from_the_left() {
        let request = score(&[1, 2, 3, 4], &[5, 6, 7]);
        let whole = Sequence::new(&request, 6).unwrap();
        assert_eq!((whole.slice(0, whole.len()), whole.cut), (vec![1, 2, 3, 4, 5, 6], 0));
        let short = Sequence::new(&request, 4).unwrap();
        assert_eq!((short.slice(0, short.len()), short.cut), (vec![3, 4, 5, 6], 2));
        assert_eq!(short.first_read(), 1);
        assert!(Sequence::new(&request, 2).is_none(), "the continuation alone fills the context");
    }

    #[test]
    fn a_common_prefix_may_end_anywhere() {
        let long: Vec<u32> = (0..200).collect();
        for (a, b) in [(3, 3), (3, 150), (150, 3), (64, 128), (199, 1), (70, 199)] {
            for differs in [0, 2, 63, 64, 70, 149, 180] {
                let mut other = long.clone();
                other[differs] = 999;
                let (a, b) = (score(&long[..a], &long[a..]), score(&other[..b], &other[b..]));
                let (a, b) = (Sequence::new(&a, 300).unwrap(), Sequence::new(&b, 300).unwrap());
                let plain = a.iter().zip(b.iter()).take_while(|(a, b)| a == b).count();
                assert_eq!((a.common_prefix(&b), b.common_prefix(&a)), (plain, plain));
                assert_eq!(a.common_prefix(&a), a.len());
            }
        }
    }

    #[test]
    fn slices_cross_the_end_of_the_context() {
        let request = score(&[1, 2], &[3, 4, 5]);
        let sequence = Sequence::new(&request, 10).unwrap();
        for from in 0..4 {
            for to in from..=4 {
                assert_eq!(sequence.slice(from, to), [1, 2, 3, 4][from..to]);
            }
        }
    }
}

//! A request as one sequence of tokens: which are fed, and where logits are read.

use super::work::EngineError;
use crate::tokenizer::TokenRequest;
use crate::vocabulary::RequestId;

/// A request fitted to a model's context: the tokens that the model is fed, after truncation.
#[derive(Debug, Clone)]
pub struct Sequence {
    pub id: RequestId,
    request: TokenRequest,
    /// Number of context tokens truncated on the left.
    pub cut: usize,
}

impl Sequence {
    /// Truncates a request to `max_length` positions, on the left.
    ///
    /// As in the leaderboard's harness: `(context + continuation)[-(max_length + 1):][:-1]`, and a generation keeps the last
    /// `max_length - max_new_tokens` tokens of its context.
    ///
    /// # Errors
    /// A continuation without tokens, and a request whose whole context would be truncated.
    pub fn new(id: RequestId, request: TokenRequest, max_length: usize) -> Result<Self, EngineError> {
        let too_long = EngineError::TooLong { request: id, max_length };
        let space = match &request {
            TokenRequest::Loglikelihood { continuation, .. } if continuation.is_empty() => {
                return Err(EngineError::NoTokens { request: id });
            }
            // The last token is predicted and not fed.
            TokenRequest::Loglikelihood { continuation, .. } => {
                max_length.saturating_add(1).checked_sub(continuation.len())
            }
            TokenRequest::GenerateUntil { max_new_tokens, .. } => max_length.checked_sub(*max_new_tokens),
        };
        let Some(space) = space else { return Err(too_long) };
        let cut = request.context().len().saturating_sub(space);
        if cut < request.context().len() { Ok(Self { id, request, cut }) } else { Err(too_long) }
    }

    /// The request before truncation. Models are fed [`context`](Self::context) and [`targets`](Self::targets).
    pub fn request(&self) -> &TokenRequest {
        &self.request
    }

    /// The tokens of the context that are fed.
    pub fn context(&self) -> &[u32] {
        &self.request.context()[self.cut..]
    }

    /// The tokens to predict, from the context's last position on; empty for a generation.
    pub fn targets(&self) -> &[u32] {
        self.request.continuation()
    }

    /// All targets but the last, which is predicted and not fed.
    fn fed_targets(&self) -> &[u32] {
        let targets = self.targets();
        &targets[..targets.len().saturating_sub(1)]
    }

    /// Number of tokens fed.
    pub fn len(&self) -> usize {
        self.context().len() + self.fed_targets().len()
    }

    /// Always false: a sequence has a context.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position whose logits predict the first target, or the first generated token.
    pub fn first_read(&self) -> usize {
        self.context().len() - 1
    }

    /// The tokens fed, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.context().iter().chain(self.fed_targets()).copied()
    }

    /// Tokens `from..to` of those fed.
    pub fn slice(&self, from: usize, to: usize) -> Vec<u32> {
        let split = self.context().len();
        let mut tokens = Vec::with_capacity(to - from);
        if from < split {
            tokens.extend_from_slice(&self.context()[from..to.min(split)]);
        }
        if to > split {
            tokens.extend_from_slice(&self.fed_targets()[from.saturating_sub(split)..to - split]);
        }
        tokens
    }

    /// Length of the common prefix of two sequences, in tokens.
    pub fn common_prefix(&self, other: &Self) -> usize {
        let (mine, others) = (self.context(), other.context());
        if mine.len() > others.len() {
            return other.common_prefix(self);
        }
        // Choices of one document share their context's memory.
        let same = std::ptr::eq(mine, others);
        let shared = if same { mine.len() } else { common(mine, others) };
        if shared < mine.len() {
            return shared;
        }
        // The other context may continue as this continuation does, and end within it.
        let rest = &others[shared..];
        let fed = self.fed_targets();
        let within = common(fed, rest);
        let beyond = if within == rest.len() { common(&fed[within..], other.fed_targets()) } else { 0 };
        shared + within + beyond
    }
}

/// Length of the common prefix.
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

    const ID: RequestId = RequestId { task: 0, document: 0, request: 0 };

    fn fitted(request: &TokenRequest, max_length: usize) -> Result<Sequence, EngineError> {
        Sequence::new(ID, request.clone(), max_length)
    }
    use std::sync::Arc;

    fn score(context: &[u32], continuation: &[u32]) -> TokenRequest {
        TokenRequest::Loglikelihood { context: Arc::from(context), continuation: continuation.to_vec() }
    }

    #[test]
    fn truncation_is_from_the_left() {
        let request = score(&[1, 2, 3, 4], &[5, 6, 7]);
        let whole = fitted(&request, 6).unwrap();
        assert_eq!((whole.slice(0, whole.len()), whole.cut), (vec![1, 2, 3, 4, 5, 6], 0));
        let short = fitted(&request, 4).unwrap();
        assert_eq!((short.slice(0, short.len()), short.cut), (vec![3, 4, 5, 6], 2));
        assert_eq!(short.first_read(), 1);
        assert!(
            matches!(fitted(&request, 2), Err(EngineError::TooLong { request: ID, max_length: 2 })),
            "the continuation alone fills the context"
        );
    }

    #[test]
    fn a_common_prefix_may_end_anywhere() {
        let long: Vec<u32> = (0..200).collect();
        for (a, b) in [(3, 3), (3, 150), (150, 3), (64, 128), (199, 1), (70, 199)] {
            for differs in [0, 2, 63, 64, 70, 149, 180] {
                let mut other = long.clone();
                other[differs] = 999;
                let (a, b) = (score(&long[..a], &long[a..]), score(&other[..b], &other[b..]));
                let (a, b) = (fitted(&a, 300).unwrap(), fitted(&b, 300).unwrap());
                let plain = a.iter().zip(b.iter()).take_while(|(a, b)| a == b).count();
                assert_eq!((a.common_prefix(&b), b.common_prefix(&a)), (plain, plain));
                assert_eq!(a.common_prefix(&a), a.len());
            }
        }
    }

    #[test]
    fn slices_cross_the_end_of_the_context() {
        let request = score(&[1, 2], &[3, 4, 5]);
        let sequence = fitted(&request, 10).unwrap();
        for from in 0..4 {
            for to in from..=4 {
                assert_eq!(sequence.slice(from, to), [1, 2, 3, 4][from..to]);
            }
        }
    }
}

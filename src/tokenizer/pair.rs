//! Requests as the model is fed them.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Tokenizer, TokenizerError};
use crate::python::text;
use crate::vocabulary::{DocumentRequests, Request};

/// A request in tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenRequest {
    /// Score `continuation` after `context`. Neither is empty.
    Loglikelihood {
        /// Shared by the requests that have the same context.
        context: Arc<[u32]>,
        /// What is scored.
        continuation: Vec<u32>,
    },
    /// Continue `context` greedily.
    GenerateUntil {
        /// What the model reads.
        context: Arc<[u32]>,
        /// Stop strings.
        until: Arc<[String]>,
        /// Length.
        max_new_tokens: usize,
    },
}

impl TokenRequest {
    /// The context's tokens.
    pub fn context(&self) -> &Arc<[u32]> {
        match self {
            TokenRequest::Loglikelihood { context, .. } | TokenRequest::GenerateUntil { context, .. } => {
                context
            }
        }
    }

    /// Tokens that may be written; none for a loglikelihood.
    pub fn max_new_tokens(&self) -> usize {
        match self {
            TokenRequest::Loglikelihood { .. } => 0,
            TokenRequest::GenerateUntil { max_new_tokens, .. } => *max_new_tokens,
        }
    }

    /// The continuation's tokens; none for a generation.
    pub fn continuation(&self) -> &[u32] {
        match self {
            TokenRequest::Loglikelihood { continuation, .. } => continuation,
            TokenRequest::GenerateUntil { .. } => &[],
        }
    }
}

/// Encodes all requests of each document, in parallel over documents.
///
/// As in the leaderboard's harness: white space at the end of a context moves to the continuation; the continuation's tokens
/// are those of both together, less as many as the context alone has; an empty context is the end-of-text token.
///
/// # Errors
/// The tokenizer's.
pub fn encode_requests(
    tokenizer: &Tokenizer,
    documents: &[DocumentRequests],
) -> Result<Vec<Vec<TokenRequest>>, TokenizerError> {
    documents.par_iter().map(|document| encode_document(tokenizer, &document.requests)).collect()
}

/// A context that was encoded.
struct Encoded<'a> {
    context: &'a Arc<str>,
    tokens: Arc<[u32]>,
    /// Where its last part begins, and the tokens of that part.
    tail: Option<(usize, usize)>,
}

impl<'a> Encoded<'a> {
    fn new(tokenizer: &Tokenizer, context: &'a Arc<str>) -> Result<Self, TokenizerError> {
        let head = text::rstrip(context);
        let tail = match tokenizer.cut(head) {
            Some(at) => Some((at, tokenizer.encode_tail(&head[at..])?.len())),
            None => None,
        };
        Ok(Self { context, tokens: encode_context(tokenizer, head)?, tail })
    }

    /// What the tokens of context and continuation have beyond those of the context.
    fn continuation(&self, tokenizer: &Tokenizer, continuation: &str) -> Result<Vec<u32>, TokenizerError> {
        let (tokens, known) = match self.tail {
            Some((at, known)) => {
                (tokenizer.encode_tail(&format!("{}{continuation}", &self.context[at..]))?, known)
            }
            // A context of white space alone is empty once it has moved: then nothing stands before the continuation.
            None => {
                let known = if text::rstrip(self.context).is_empty() { 0 } else { self.tokens.len() };
                (tokenizer.encode(&format!("{}{continuation}", self.context))?, known)
            }
        };
        Ok(tokens[known.min(tokens.len())..].to_vec())
    }
}

fn encode_document(tokenizer: &Tokenizer, requests: &[Request]) -> Result<Vec<TokenRequest>, TokenizerError> {
    // The choices of a document mostly share one context, which is then encoded once.
    let mut last: Option<Encoded<'_>> = None;
    let mut encoded = Vec::with_capacity(requests.len());
    for request in requests {
        encoded.push(match request {
            Request::Loglikelihood { context, continuation } => {
                let context = match last.take() {
                    Some(known) if Arc::ptr_eq(known.context, context) => known,
                    _ => Encoded::new(tokenizer, context)?,
                };
                let continuation = context.continuation(tokenizer, continuation)?;
                let tokens = context.tokens.clone();
                last = Some(context);
                TokenRequest::Loglikelihood { context: tokens, continuation }
            }
            Request::GenerateUntil { context, until, max_new_tokens } => TokenRequest::GenerateUntil {
                context: encode_context(tokenizer, context)?,
                until: until.clone(),
                max_new_tokens: *max_new_tokens,
            },
        });
    }
    Ok(encoded)
}

fn encode_context(tokenizer: &Tokenizer, context: &str) -> Result<Arc<[u32]>, TokenizerError> {
    let tokens = tokenizer.encode(context)?;
    if tokens.is_empty() {
        let end = tokenizer
            .end_of_text
            .ok_or_else(|| TokenizerError::NoEndOfText { path: tokenizer.path.display().to_string() })?;
        return Ok([end].into());
    }
    Ok(tokens.into())
}

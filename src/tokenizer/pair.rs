//! Requests in tokens.

use std::sync::Arc;

use rayon::prelude::*;

use super::error::TokenizerError;
use super::load::Tokenizer;
use super::words::WordEncoder;
use crate::python::text;
use crate::vocabulary::{DocumentRequests, Request, Stops};

/// A request in tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenRequest {
    /// Score `continuation` after `context`, which is not empty. An empty continuation is an error later.
    Loglikelihood {
        /// Shared by the requests that have the same context.
        context: Arc<[u32]>,
        continuation: Vec<u32>,
    },
    /// Continue `context` greedily.
    GenerateUntil { context: Arc<[u32]>, until: Stops, max_new_tokens: usize },
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

    /// Maximum number of generated tokens; 0 for a loglikelihood.
    pub fn max_new_tokens(&self) -> usize {
        match self {
            TokenRequest::Loglikelihood { .. } => 0,
            TokenRequest::GenerateUntil { max_new_tokens, .. } => *max_new_tokens,
        }
    }

    /// The continuation's tokens; empty for a generation.
    pub fn continuation(&self) -> &[u32] {
        match self {
            TokenRequest::Loglikelihood { continuation, .. } => continuation,
            TokenRequest::GenerateUntil { .. } => &[],
        }
    }
}

/// Encodes all requests of each document, in parallel over documents.
///
/// As in the leaderboard's harness: trailing white space of a context moves to the continuation; the
/// continuation's tokens are those of both joined, without as many as the context alone has; an empty context
/// becomes the end-of-text token.
///
/// # Errors
/// The tokenizer's.
pub fn encode_requests(
    tokenizer: &Tokenizer,
    documents: &[DocumentRequests],
) -> Result<Vec<Vec<TokenRequest>>, TokenizerError> {
    let encode = |document: &DocumentRequests| {
        encode_document(&mut WordEncoder::new(tokenizer), tokenizer, &document.requests)
    };
    // Collected first, so that the first document's error is reported.
    let encoded: Vec<Result<_, _>> = documents.par_iter().map(encode).collect();
    encoded.into_iter().collect()
}

/// An encoded context.
struct Encoded<'a> {
    context: &'a Arc<str>,
    tokens: Arc<[u32]>,
    /// Byte offset of its last part, and the number of tokens of that part.
    tail: Option<(usize, usize)>,
}

impl<'a> Encoded<'a> {
    fn new(
        words: &mut WordEncoder<'_>,
        tokenizer: &Tokenizer,
        context: &'a Arc<str>,
    ) -> Result<Self, TokenizerError> {
        let head = text::rstrip(context);
        let Some(tokens) = words.encode_parts(head)? else {
            let tokens = or_end_of_text(tokenizer.encode(head)?, tokenizer)?;
            return Ok(Self { context, tokens, tail: None });
        };
        let tail = match tokenizer.cuts.as_ref().and_then(|cuts| cuts.last(head)) {
            Some(at) => words.encode_tail(&head[at..])?.map(|tokens| (at, tokens.len())),
            None => None,
        };
        Ok(Self { context, tokens: or_end_of_text(tokens, tokenizer)?, tail })
    }

    /// The tokens of context and continuation joined, after those of the context.
    fn continuation(
        &self,
        words: &mut WordEncoder<'_>,
        continuation: &str,
    ) -> Result<Vec<u32>, TokenizerError> {
        if let Some((at, known)) = self.tail {
            let tail = format!("{}{continuation}", &self.context[at..]);
            if let Some(tokens) = words.encode_tail(&tail)? {
                return Ok(tokens[known.min(tokens.len())..].to_vec());
            }
        }
        // A context of white space only is empty once that has moved: then nothing is before the
        // continuation.
        let known = if text::rstrip(self.context).is_empty() { 0 } else { self.tokens.len() };
        let tokens = words.encode(&format!("{}{continuation}", self.context))?;
        Ok(tokens[known.min(tokens.len())..].to_vec())
    }
}

fn encode_document(
    words: &mut WordEncoder<'_>,
    tokenizer: &Tokenizer,
    requests: &[Request],
) -> Result<Vec<TokenRequest>, TokenizerError> {
    // The choices of a document mostly share one context, which is then encoded once.
    let mut last: Option<Encoded<'_>> = None;
    let mut encoded = Vec::with_capacity(requests.len());
    for request in requests {
        encoded.push(match request {
            Request::Loglikelihood { context, continuation } => {
                let context = match last.take() {
                    Some(known) if Arc::ptr_eq(known.context, context) => known,
                    _ => Encoded::new(words, tokenizer, context)?,
                };
                let continuation = context.continuation(words, continuation)?;
                let tokens = context.tokens.clone();
                last = Some(context);
                TokenRequest::Loglikelihood { context: tokens, continuation }
            }
            Request::GenerateUntil { context, until, max_new_tokens } => TokenRequest::GenerateUntil {
                context: or_end_of_text(words.encode(context)?, tokenizer)?,
                until: until.clone(),
                max_new_tokens: *max_new_tokens,
            },
        });
    }
    Ok(encoded)
}

/// A context's tokens; the end-of-text token for an empty one.
fn or_end_of_text(tokens: Vec<u32>, tokenizer: &Tokenizer) -> Result<Arc<[u32]>, TokenizerError> {
    if tokens.is_empty() {
        let end = tokenizer
            .end_of_text
            .ok_or_else(|| TokenizerError::NoEndOfText { path: tokenizer.path.display().to_string() })?;
        return Ok([end].into());
    }
    Ok(tokens.into())
}

//! Requests in tokens.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::error::TokenizerError;
use super::load::Tokenizer;
use super::marks::Marks;
use super::words::WordEncoder;
use crate::bounds::Claim;
use crate::python::text;
use crate::vocabulary::{DocumentRequests, EmptyContext, Request, Stops};

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
/// As in lm-evaluation-harness: trailing white space of a context moves to the continuation; the
/// continuation's tokens are those of both joined, without as many as the context alone has; an empty context
/// becomes a token. `marks` are those of the task.
///
/// # Errors
/// The tokenizer's.
pub fn encode_requests(
    tokenizer: &Tokenizer,
    marks: &Marks,
    documents: &[DocumentRequests],
) -> Result<Vec<Vec<TokenRequest>>, TokenizerError> {
    let claim = Mutex::new(Claim::default());
    let encode = |document: &DocumentRequests| {
        let tokens = encode_document(&mut WordEncoder::new(tokenizer), tokenizer, marks, &document.requests)?;
        let grown = claim.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes_of(&tokens));
        grown.map_err(|no_room| TokenizerError::TooMany { no_room })?;
        Ok(tokens)
    };
    // Collected first, so that the first document's error is reported.
    let encoded: Vec<Result<_, TokenizerError>> = documents.par_iter().map(encode).collect();
    encoded.into_iter().collect()
}

/// Bytes of a document's requests, whose neighbours mostly share their context.
fn bytes_of(requests: &[TokenRequest]) -> u64 {
    let mut last: Option<&Arc<[u32]>> = None;
    let mut tokens = 0;
    for request in requests {
        let context = request.context();
        if !last.is_some_and(|last| Arc::ptr_eq(last, context)) {
            tokens += context.len();
        }
        tokens += request.continuation().len();
        last = Some(context);
    }
    (size_of_val(requests) + size_of::<u32>() * tokens) as u64
}

/// Bytes of memory for each byte of a text while it is encoded part by part: its tokens, those that they are copied from, and into what.
const BYTES_PER_BYTE: usize = 12;

/// Claims what encoding a text takes.
fn claim(text: &str) -> Result<Claim, TokenizerError> {
    let claim = Claim::of((text.len() * BYTES_PER_BYTE) as u64);
    claim.map_err(|no_room| TokenizerError::Encode { bytes: text.len(), what: format!("it takes {no_room}") })
}

/// An encoded context.
struct Encoded<'a> {
    context: &'a Arc<str>,
    /// With the marks around them; the token for an empty context if there are none.
    tokens: Arc<[u32]>,
    /// Number of tokens of the text itself.
    own: usize,
    /// Number of tokens around them.
    around: usize,
    /// Byte offset of its last part, and the number of tokens of that part.
    tail: Option<(usize, usize)>,
}

/// What requests are encoded with.
#[derive(Clone, Copy)]
struct Rules<'a> {
    tokenizer: &'a Tokenizer,
    marks: &'a Marks,
}

impl<'a> Encoded<'a> {
    fn new(
        words: &mut WordEncoder<'_>,
        rules: Rules<'_>,
        context: &'a Arc<str>,
    ) -> Result<Self, TokenizerError> {
        let Rules { tokenizer, marks } = rules;
        let head = text::rstrip(context);
        let parts = words.encode_parts(head)?;
        let tail = match tokenizer.cuts.as_ref().filter(|_| parts.is_some()).and_then(|cuts| cuts.last(head))
        {
            Some(at) => words.encode_tail(&head[at..])?.map(|tokens| (at, tokens.len())),
            None => None,
        };
        let own = match parts {
            Some(tokens) => tokens,
            None => tokenizer.encode(head)?,
        };
        let (before, after) = marks.around_scored(head);
        let (count, around) = (own.len(), before.len() + after.len());
        let tokens = or_for_empty([before, &own, after].concat(), rules)?;
        Ok(Self { context, tokens, own: count, around, tail })
    }

    /// The tokens of context and continuation joined, without as many as the context alone has.
    fn continuation(
        &self,
        words: &mut WordEncoder<'_>,
        marks: &Marks,
        continuation: &str,
    ) -> Result<Vec<u32>, TokenizerError> {
        let whole = format!("{}{continuation}", self.context);
        let (before, after) = marks.around_scored(&whole);
        // The tokens of the text itself that are not part of the continuation. Where both have marks after the text, those of the
        // context take the place of as many.
        let skipped = self.own + self.around - before.len();
        let mut tokens = None;
        if let Some((at, known)) = self.tail {
            let rest = words.encode_tail(&whole[at..])?;
            tokens = rest.map(|rest| (rest, skipped - (self.own - known)));
        }
        let (mut tokens, skipped) = match tokens {
            Some(tokens) => tokens,
            None => (words.encode(&whole)?, skipped),
        };
        tokens.extend_from_slice(after);
        tokens.drain(..skipped.min(tokens.len()));
        Ok(tokens)
    }
}

fn encode_document(
    words: &mut WordEncoder<'_>,
    tokenizer: &Tokenizer,
    marks: &Marks,
    requests: &[Request],
) -> Result<Vec<TokenRequest>, TokenizerError> {
    let rules = Rules { tokenizer, marks };
    // The choices of a document mostly share one context, which is then encoded once.
    let mut last: Option<Encoded<'_>> = None;
    let mut encoded = Vec::with_capacity(requests.len());
    for request in requests {
        let _claim = claim(request.context())?;
        encoded.push(match request {
            Request::Loglikelihood { context, continuation } if context.is_empty() => {
                after_nothing(words.encode(continuation)?, rules)?
            }
            Request::Loglikelihood { context, continuation } => {
                let context = match last.take() {
                    Some(known) if Arc::ptr_eq(known.context, context) => known,
                    _ => Encoded::new(words, rules, context)?,
                };
                let continuation = context.continuation(words, marks, continuation)?;
                let tokens = context.tokens.clone();
                last = Some(context);
                TokenRequest::Loglikelihood { context: tokens, continuation }
            }
            Request::GenerateUntil { context, until, max_new_tokens } => {
                let (before, after) = marks.around_generated(context);
                let tokens = [before, &words.encode(context)?, after].concat();
                TokenRequest::GenerateUntil {
                    context: or_for_empty(tokens, rules)?,
                    until: until.clone(),
                    max_new_tokens: *max_new_tokens,
                }
            }
        });
    }
    Ok(encoded)
}

/// A continuation of an empty context. Since 0.4, one that begins with the token for it is not given it twice.
fn after_nothing(mut continuation: Vec<u32>, rules: Rules<'_>) -> Result<TokenRequest, TokenizerError> {
    let token = rules.marks.empty(rules.tokenizer)?;
    if rules.marks.empty_context == EmptyContext::BeginningOfText && continuation.first() == Some(&token) {
        continuation.remove(0);
    }
    Ok(TokenRequest::Loglikelihood { context: [token].into(), continuation })
}

/// A context's tokens; the token for an empty one if there are none.
fn or_for_empty(tokens: Vec<u32>, rules: Rules<'_>) -> Result<Arc<[u32]>, TokenizerError> {
    if tokens.is_empty() {
        return Ok([rules.marks.empty(rules.tokenizer)?].into());
    }
    Ok(tokens.into())
}

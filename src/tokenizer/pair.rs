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

fn encode_document(tokenizer: &Tokenizer, requests: &[Request]) -> Result<Vec<TokenRequest>, TokenizerError> {
    // The choices of a document mostly share one context, which is then encoded once.
    let mut last: Option<(&Arc<str>, Arc<[u32]>)> = None;
    requests
        .iter()
        .map(|request| match request {
            Request::Loglikelihood { context, continuation } => {
                let head = text::rstrip(context);
                let tokens = match &last {
                    Some((known, tokens)) if Arc::ptr_eq(known, context) => tokens.clone(),
                    _ => encode_context(tokenizer, head)?,
                };
                last = Some((context, tokens.clone()));
                // A context of white space alone is empty once it has moved: then nothing stands before the continuation.
                let known = if head.is_empty() { 0 } else { tokens.len() };
                let whole = tokenizer.encode(&format!("{context}{continuation}"))?;
                let continuation = whole[known.min(whole.len())..].to_vec();
                Ok(TokenRequest::Loglikelihood { context: tokens, continuation })
            }
            Request::GenerateUntil { context, until, max_new_tokens } => Ok(TokenRequest::GenerateUntil {
                context: encode_context(tokenizer, context)?,
                until: until.clone(),
                max_new_tokens: *max_new_tokens,
            }),
        })
        .collect()
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

//! Hashes of a task's prompts and tokens, which show whether two runs had the same requests.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;
use twox_hash::XxHash64;

use super::built::BuiltTask;
use crate::tokenizer::TokenRequest;
use crate::vocabulary::{Fingerprint, Fingerprinter, Request};

/// Hashes over a task's prompts and tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Digests {
    /// Over all prompts, in order.
    #[serde(rename = "prompts_blake3")]
    pub prompts: Fingerprint,
    /// Over all tokens, in order.
    #[serde(rename = "tokens_blake3")]
    pub tokens: Fingerprint,
    /// As lighteval writes them.
    pub lighteval: LightevalHashes,
}

/// lighteval's hashes (`CompiledHash` in its `info_loggers.py`): XXH64, with seed 0, over the sorted hexadecimal XXH64 of the parts.
///
/// A part is a prompt: a document's context, once for all its requests that share it; a document with several
/// contexts has several parts. Tokens are hashed as a Python list is printed. lighteval's own values also
/// depend on its prompts and on what its version passes to its logger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LightevalHashes {
    /// Over the prompts.
    pub hash_full_prompts: String,
    /// Over the prompts' tokens.
    pub hash_input_tokens: String,
    /// Over each document's list of continuations in tokens; a generation has none.
    pub hash_cont_tokens: String,
}

impl Digests {
    /// Hashes a built task.
    pub fn of(built: &BuiltTask) -> Self {
        Self { prompts: prompts(built), tokens: tokens(built), lighteval: LightevalHashes::of(built) }
    }
}

fn prompts(built: &BuiltTask) -> Fingerprint {
    let mut hasher = Fingerprinter::default();
    for request in built.requests.documents.iter().flat_map(|document| &document.requests) {
        hasher.part(request.context().as_bytes());
        match request {
            Request::Loglikelihood { continuation, .. } => hasher.part(continuation.as_bytes()),
            Request::GenerateUntil { until, .. } => hasher.part(until.join("\u{1f}").as_bytes()),
        };
    }
    hasher.finish()
}

fn tokens(built: &BuiltTask) -> Fingerprint {
    let bytes = |tokens: &[u32]| tokens.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<u8>>();
    let mut hasher = Fingerprinter::default();
    for request in built.tokens.iter().flatten() {
        hasher.part(&bytes(request.context())).part(&bytes(request.continuation()));
    }
    hasher.finish()
}

impl LightevalHashes {
    fn of(built: &BuiltTask) -> Self {
        let mut prompts = Vec::new();
        for document in &built.requests.documents {
            let mut last: Option<&Arc<str>> = None;
            for request in &document.requests {
                let (Request::Loglikelihood { context, .. } | Request::GenerateUntil { context, .. }) =
                    request;
                if !last.is_some_and(|last| Arc::ptr_eq(last, context)) {
                    prompts.push(xxh64(context.as_bytes()));
                }
                last = Some(context);
            }
        }
        let (mut inputs, mut continuations) = (Vec::new(), Vec::new());
        for document in &built.tokens {
            let mut last: Option<&Arc<[u32]>> = None;
            for request in document {
                let context = request.context();
                if !last.is_some_and(|last| Arc::ptr_eq(last, context)) {
                    let mut text = String::new();
                    print_list(&mut text, context);
                    inputs.push(xxh64(text.as_bytes()));
                }
                last = Some(context);
            }
            continuations.push(xxh64(print_continuations(document).as_bytes()));
        }
        Self {
            hash_full_prompts: of_all(prompts),
            hash_input_tokens: of_all(inputs),
            hash_cont_tokens: of_all(continuations),
        }
    }
}

fn xxh64(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash64::oneshot(0, bytes))
}

fn of_all(mut parts: Vec<String>) -> String {
    parts.sort_unstable();
    xxh64(parts.concat().as_bytes())
}

/// As `str()` prints a list of numbers in Python.
fn print_list(text: &mut String, tokens: &[u32]) {
    text.push('[');
    for (place, token) in tokens.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{token}");
    }
    text.push(']');
}

fn print_continuations(document: &[TokenRequest]) -> String {
    let mut text = String::from("[");
    let scored = document.iter().filter(|request| matches!(request, TokenRequest::Loglikelihood { .. }));
    for (place, request) in scored.enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        print_list(&mut text, request.continuation());
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_python_s_xxhash() {
        // h = lambda s: xxhash.xxh64(s.encode()).hexdigest(), of the Python package xxhash:
        // h(""), h("".join(sorted([h("a"), h("b")]))), h(str([1, 22, 333])).
        assert_eq!(xxh64(b""), "ef46db3751d8e999");
        let parts = vec![xxh64(b"b"), xxh64(b"a")];
        assert_eq!(of_all(parts), "89dcc52b39e25afe");
        let mut text = String::new();
        print_list(&mut text, &[1, 22, 333]);
        assert_eq!(text, "[1, 22, 333]");
        assert_eq!(xxh64(text.as_bytes()), "4cde54639848d95a");
    }
}

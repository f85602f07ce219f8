//! What engines return: answers, their cost, and errors.

use miette::Diagnostic;
use thiserror::Error;

use crate::model::ForwardError;
use crate::tokenizer::TokenizerError;
use crate::vocabulary::{RequestId, Response};

/// Requests cannot be answered.
#[derive(Debug, Error, Diagnostic)]
pub enum EngineError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Forward(#[from] ForwardError),
    /// The tokenizer failed during a generation.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A request that does not fit even after truncation.
    #[error("no room for a context: the model holds {max_length} positions")]
    #[diagnostic(
        code(assay::input),
        help(
            "the continuation, or the longest answer that the task allows, is longer than the model's context: use a model with a longer one"
        )
    )]
    TooLong {
        request: RequestId,
        /// In positions.
        max_length: usize,
    },
    /// A request that alone exceeds the kv budget.
    #[error("the keys and values of {needed} tokens are needed at once, there is room for {budget}")]
    #[diagnostic(code(assay::input), help("give more memory with --kv-memory, or fewer shots"))]
    KvBudget {
        request: RequestId,
        /// In tokens.
        needed: usize,
        /// Tokens that may be cached.
        budget: usize,
    },
    /// A continuation without tokens.
    #[error("the continuation has no tokens of its own")]
    #[diagnostic(
        code(assay::input),
        help(
            "the tokenizer melts the continuation into the context: begin it with a space, see `target_delimiter`"
        )
    )]
    NoTokens { request: RequestId },
}

impl EngineError {
    /// The request that the error concerns, if it concerns a single one.
    pub fn request(&self) -> Option<RequestId> {
        match self {
            EngineError::TooLong { request, .. }
            | EngineError::KvBudget { request, .. }
            | EngineError::NoTokens { request } => Some(*request),
            EngineError::Forward(_) | EngineError::Tokenizer(_) => None,
        }
    }
}

/// An answered request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub id: RequestId,
    pub response: Response,
}

/// The cost of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Tokens if every request were computed separately.
    pub tokens_alone: usize,
    /// Tokens after prefix sharing: one for each distinct prefix of the requests.
    pub tokens_planned: usize,
    /// Rows that went through the model for prompts and continuations.
    pub tokens_computed: usize,
    /// Rows that went through the model for generated tokens; the same number with drafts and without.
    pub tokens_generated: usize,
    /// Rows that went through the model for drafted tokens.
    pub tokens_drafted: usize,
    /// Drafted tokens that were accepted; they count in `tokens_generated` too.
    pub tokens_accepted: usize,
    /// Forward passes; the parts of a split pass count separately.
    pub passes: usize,
    /// Peak number of tokens whose keys and values were cached at once.
    pub peak_live_kv_tokens: usize,
    /// Requests truncated to the model's context.
    pub truncated: usize,
}

impl Work {
    /// Adds another run's cost.
    pub fn add(&mut self, other: &Work) {
        self.tokens_alone += other.tokens_alone;
        self.tokens_planned += other.tokens_planned;
        self.tokens_computed += other.tokens_computed;
        self.tokens_generated += other.tokens_generated;
        self.tokens_drafted += other.tokens_drafted;
        self.tokens_accepted += other.tokens_accepted;
        self.passes += other.passes;
        self.peak_live_kv_tokens = self.peak_live_kv_tokens.max(other.peak_live_kv_tokens);
        self.truncated += other.truncated;
    }
}

//! What engines give back: answers, what they cost, and errors.

use miette::Diagnostic;
use thiserror::Error;

use crate::model::ForwardError;
use crate::tokenizer::TokenizerError;
use crate::vocabulary::{RequestId, Response};

/// Requests cannot be answered.
#[derive(Debug, Error, Diagnostic)]
pub enum EngineError {
    /// The model.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Forward(#[from] ForwardError),
    /// The tokenizer, while a text is generated.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A request that no truncation makes fit.
    #[error("no room for a context: the model holds {max_length} positions")]
    #[diagnostic(
        code(assay::input),
        help(
            "the continuation, or the longest answer that the task allows, is longer than the model's context: use a model with a longer one"
        )
    )]
    TooLong {
        /// The request.
        request: RequestId,
        /// Positions.
        max_length: usize,
    },
    /// A request that alone is more than the memory for keys and values.
    #[error("the keys and values of {needed} tokens are needed at once, there is room for {budget}")]
    #[diagnostic(code(assay::input), help("give more memory with --kv-memory, or fewer shots"))]
    KvBudget {
        /// The request.
        request: RequestId,
        /// Tokens.
        needed: usize,
        /// Tokens that may be kept.
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
    NoTokens {
        /// The request.
        request: RequestId,
    },
}

impl EngineError {
    /// The request that the error is about, where it is about one.
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
    /// The request.
    pub id: RequestId,
    /// The answer.
    pub response: Response,
}

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Tokens if every request were computed alone.
    pub tokens_alone: usize,
    /// Distinct prefixes of the requests, in tokens.
    pub tokens_planned: usize,
    /// Rows that went through the model for prompts and continuations.
    pub tokens_computed: usize,
    /// Rows that went through the model for generated tokens; as many with drafts as without.
    pub tokens_generated: usize,
    /// Rows that went through the model for drafted tokens.
    pub tokens_drafted: usize,
    /// Those of them that turned out to be generated tokens, and count there too.
    pub tokens_accepted: usize,
    /// Passes in which they went.
    pub passes: usize,
    /// Tokens whose keys and values were kept at once, at most.
    pub peak_live_kv_tokens: usize,
    /// Requests cut to the model's context.
    pub truncated: usize,
}

impl Work {
    /// Adds another run's.
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

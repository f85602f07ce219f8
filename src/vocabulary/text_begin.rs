//! What the texts that a model reads begin with.

/// Whether texts begin with the beginning-of-text token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddBosToken {
    /// None does, unless the token stands in the text.
    Never,
    /// All do.
    Always,
    /// As the tokenizer's own files say, also of a token after the text.
    Tokenizer,
}

impl AddBosToken {
    /// The values, as flags, task files and records write them.
    pub const WORDS: [&str; 3] = ["false", "true", "tokenizer"];

    /// The value as one of [`WORDS`](Self::WORDS).
    pub fn word(self) -> &'static str {
        match self {
            AddBosToken::Never => "false",
            AddBosToken::Always => "true",
            AddBosToken::Tokenizer => "tokenizer",
        }
    }

    /// The value of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Never, Self::Always, Self::Tokenizer].into_iter().find(|value| value.word() == word)
    }
}

/// What stands for an empty context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyContext {
    /// The token that ends a text, as in harnesses before 0.4.
    EndOfText,
    /// The token that begins a text, or where there is none the one that ends it, as since 0.4.
    BeginningOfText,
}

impl EmptyContext {
    /// The value as records write it.
    pub fn word(self) -> &'static str {
        match self {
            EmptyContext::EndOfText => "end_of_text",
            EmptyContext::BeginningOfText => "beginning_of_text",
        }
    }
}

/// What a task's texts begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextBegin {
    pub add_bos_token: AddBosToken,
    pub empty_context: EmptyContext,
}

impl TextBegin {
    /// As lm-evaluation-harness did before 0.4.
    pub const BEFORE_0_4: Self =
        Self { add_bos_token: AddBosToken::Never, empty_context: EmptyContext::EndOfText };
    /// As it does since.
    pub const SINCE_0_4: Self =
        Self { add_bos_token: AddBosToken::Tokenizer, empty_context: EmptyContext::BeginningOfText };
}

/// What the texts of a run's task began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextBeginRecord {
    /// Whether the beginning-of-text token, or what else the tokenizer has, was put before them.
    pub add_bos_token: bool,
    /// Whether the command line said otherwise than the task file.
    pub overridden: bool,
    /// What stood for empty contexts, if there were any.
    pub empty_context: Option<EmptyContext>,
}

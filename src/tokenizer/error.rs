//! What is wrong with a tokenizer.

use miette::Diagnostic;
use thiserror::Error;

use crate::bounds::NoRoom;
use crate::vocabulary::FETCH_LFS;

/// A tokenizer cannot be loaded, or cannot encode or decode.
#[derive(Debug, Error, Diagnostic)]
#[diagnostic(code(assay::input))]
pub enum TokenizerError {
    /// A file that cannot be read.
    #[error("{path}: cannot be read: {source}")]
    #[diagnostic(help("give a tokenizer.json with --tokenizer FILE"))]
    Unreadable { path: String, source: std::io::Error },
    /// A pointer that git-lfs left in its place.
    #[error("{path}: a pointer of git-lfs, not the file itself")]
    #[diagnostic(help("{FETCH_LFS}"))]
    Pointer { path: String },
    /// A file that is not a tokenizer.
    #[error("{path}: no tokenizer: {what}")]
    #[diagnostic(help(
        "a tokenizer is the `tokenizer.json` that Hugging Face's fast tokenizers write; slow ones must be converted first"
    ))]
    Corrupt { path: String, what: String },
    /// A file beside the tokenizer that has another shape.
    #[error("{path}: {what}")]
    #[diagnostic(help("it belongs to the tokenizer: fetch it again, or take it away"))]
    Beside { path: String, what: String },
    /// A file beside the tokenizer that is no JSON; `what` begins with the line and column.
    #[error("{path}:{what}")]
    #[diagnostic(help("it belongs to the tokenizer: fetch it again, or take it away"))]
    BesideAt { path: String, what: String },
    /// The tokenizer's files contradict each other.
    #[error("{what}")]
    #[diagnostic(help("take the tokenizer's files from one place"))]
    Contradiction { what: String },
    /// A text that the tokenizer rejects.
    #[error("the tokenizer cannot encode a text of {bytes} bytes: {what}")]
    #[diagnostic(help("the tokenizer may be damaged: compare it with the model's own"))]
    Encode {
        /// Length of the text.
        bytes: usize,
        what: String,
    },
    /// Tokens of prompts that take more memory than there is.
    #[error("the tokens of its prompts take {no_room}")]
    #[diagnostic(help(
        "ask for fewer documents with --limit or for fewer shots, shorten the task's templates, or free some memory"
    ))]
    TooMany { no_room: NoRoom },
    /// A token that the vocabulary does not have.
    #[error("the tokenizer cannot decode {tokens} tokens: {what}")]
    #[diagnostic(help("the tokenizer may not be this model's: compare their vocabulary sizes"))]
    Decode {
        /// Number of tokens.
        tokens: usize,
        what: String,
    },
    /// A beginning-of-text token is asked for, and there is none.
    #[error("{path} does not say which token begins a text, and one is to be put before each")]
    #[diagnostic(help(
        "leave out --add-bos-token, or put the model's tokenizer_config.json with its `bos_token` beside the tokenizer"
    ))]
    NoBeginningOfText {
        /// The tokenizer's file.
        path: String,
    },
    /// The tokens that the post-processor adds depend on the text.
    #[error("{path}: the post-processor does more than put tokens before and after a text")]
    #[diagnostic(help(
        "--add-bos-token false leaves it out, and true puts the beginning-of-text token first"
    ))]
    PostProcessor {
        /// The tokenizer's file.
        path: String,
    },
    /// An empty context, and no end-of-text token to replace it.
    #[error("a context is empty, and {path} does not say which token begins or ends a text")]
    #[diagnostic(help(
        "put the model's tokenizer_config.json beside the tokenizer: its `eos_token` stands for an empty context"
    ))]
    NoEndOfText {
        /// The tokenizer's file.
        path: String,
    },
}

/// Longest description of a fault, in characters.
const LONGEST: usize = 300;

/// A description of a fault in one line that is not as long as the file that it is about.
pub fn brief(what: &str) -> String {
    let mut line = what.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    line
}

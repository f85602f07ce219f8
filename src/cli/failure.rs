//! Errors for users: what went wrong in one line, and what to do in another.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | done, with the answer "no" where the command asks a question |
//! | 2 | bad input: arguments, task files, datasets, tokenizer, folders |
//! | 3 | the model or the engine failed |
//! | 130 | interrupted; what was finished is kept |

use std::process::ExitCode;

use super::output::say;
use miette::Diagnostic;

/// Exit code for the answer "no".
pub const NO: u8 = 1;
/// Exit code for bad input.
pub const BAD_INPUT: u8 = 2;
/// Exit code for a failure of the model or the engine.
pub const ENGINE: u8 = 3;
/// Exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// An error as people and scripts see it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: String,
    code: u8,
}

impl<E: Diagnostic> From<E> for Failure {
    fn from(error: E) -> Self {
        let engine = error.code().is_some_and(|code| code.to_string() == "assay::engine");
        Self {
            message: error.to_string(),
            hint: error.help().map(|help| help.to_string()).unwrap_or_default(),
            code: if engine { ENGINE } else { BAD_INPUT },
        }
    }
}

impl Failure {
    /// Bad input for which no room below has an error type.
    pub fn bad_input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: BAD_INPUT }
    }

    /// A failure of the model or the engine for which no room below has an error type.
    pub fn engine(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: ENGINE }
    }

    /// Appends to the hint.
    pub fn and_hint(mut self, more: String) -> Self {
        self.hint = if self.hint.is_empty() { more } else { format!("{}; {more}", self.hint) };
        self
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// An error of clap, in one line.
    pub fn of_arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let mut message = first.strip_prefix("error: ").unwrap_or(first).to_string();
        // Lists of missing or possible values are on lines of their own.
        let mut hint = "`assay --help` shows the commands, `assay COMMAND --help` their options".to_string();
        for line in lines {
            match line.strip_prefix("tip: ") {
                Some(tip) => {
                    hint = tip.to_string();
                    break;
                }
                None if line.starts_with("Usage:") || line.starts_with("For more") => break,
                None => message = format!("{message} {line}"),
            }
        }
        Self { message, hint, code: BAD_INPUT }
    }

    /// Prints the failure to stderr and returns its exit code.
    pub fn report(&self) -> ExitCode {
        say!("error: {}", self.message.replace('\n', " "));
        if !self.hint.is_empty() {
            say!("hint: {}", self.hint.replace('\n', " "));
        }
        ExitCode::from(self.code)
    }
}

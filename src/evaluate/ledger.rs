//! Where answers are kept as they come.

use miette::Diagnostic;
use thiserror::Error;

use crate::engine::{Answer, Work};

/// Keeps answers, so that no request is ever computed twice.
pub trait Ledger {
    /// Keeps the answers of a batch, of which there is at least one; `work` is what the session cost so far. An answer counts only
    /// once this has succeeded.
    ///
    /// # Errors
    /// The answers could not be kept; the evaluation ends.
    fn keep(&mut self, answers: &[Answer], work: &Work) -> Result<(), NotKept>;
}

/// Keeps nothing.
pub struct NullLedger;

impl Ledger for NullLedger {
    fn keep(&mut self, _: &[Answer], _: &Work) -> Result<(), NotKept> {
        Ok(())
    }
}

/// Answers could not be kept.
#[derive(Debug, Error, Diagnostic)]
#[error("{what}")]
#[diagnostic(code(assay::input), help("{hint}"))]
pub struct NotKept {
    /// The fault.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl NotKept {
    /// What another error says.
    pub fn because(error: &dyn Diagnostic) -> Self {
        let hint = error.help().map(|help| help.to_string()).unwrap_or_default();
        Self { what: error.to_string(), hint }
    }
}

//! Where answers are stored as they arrive.

use miette::Diagnostic;
use thiserror::Error;

use crate::engine::{Answer, Work};

/// Stores answers, so that no request is ever computed twice.
pub trait Ledger {
    /// Stores the answers of a batch, at least one; `work` is the session's cost so far. An answer counts
    /// only once this has succeeded.
    ///
    /// # Errors
    /// The answers could not be stored; the evaluation ends.
    fn keep(&mut self, answers: &[Answer], work: &Work) -> Result<(), NotStored>;
}

/// Stores nothing.
pub struct NullLedger;

impl Ledger for NullLedger {
    fn keep(&mut self, _: &[Answer], _: &Work) -> Result<(), NotStored> {
        Ok(())
    }
}

/// Answers could not be stored.
#[derive(Debug, Error, Diagnostic)]
#[error("{what}")]
#[diagnostic(code(assay::input), help("{hint}"))]
pub struct NotStored {
    pub what: String,
    pub hint: String,
}

impl NotStored {
    /// Takes over the message and the hint of another error.
    pub fn because(error: &dyn Diagnostic) -> Self {
        let hint = error.help().map(|help| help.to_string()).unwrap_or_default();
        Self { what: error.to_string(), hint }
    }
}

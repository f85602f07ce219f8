//! A row, as errors name it.

use super::error::{PromptError, hint};
use crate::task::{Task, TemplateError};

/// Identifies a row in errors.
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    pub task: &'a Task,
    pub split: &'a str,
    /// From 0.
    pub row: usize,
}

impl RowRef<'_> {
    /// The error for a template that fails.
    pub fn template(self, source: TemplateError) -> PromptError {
        PromptError::Template {
            task: self.task.name.clone(),
            row: self.row,
            split: self.split.into(),
            hint: hint(&source),
            source,
        }
    }

    /// The error for values that make no valid request.
    pub fn fault(self, what: impl Into<String>, hint: &'static str) -> PromptError {
        PromptError::Document {
            task: self.task.name.clone(),
            row: self.row,
            split: self.split.into(),
            what: what.into(),
            hint,
        }
    }
}

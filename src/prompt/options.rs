//! What the command line changes.

use crate::vocabulary::TaskLimits;

/// What the command line changes.
#[derive(Debug, Clone, Default)]
pub struct PromptOptions {
    /// Only the first documents of a task, after any shuffle.
    pub limits: TaskLimits,
    /// Other shots than the task declares.
    pub num_fewshot: Option<usize>,
}

//! Options of the command line that change prompts.

use super::turns::ChatOptions;
use crate::vocabulary::{AddBosToken, TaskLimits};

/// Options of the command line that change prompts.
#[derive(Debug, Clone, Default)]
pub struct PromptOptions {
    /// Limits each task to its first documents, after any shuffle.
    pub limits: TaskLimits,
    /// Replaces the number of shots that the task declares.
    pub num_fewshot: Option<usize>,
    /// Replaces what the task declares of the beginning-of-text token.
    pub add_bos_token: Option<AddBosToken>,
    /// How prompts become conversations.
    pub chat: ChatOptions,
}

//! Arguments that make conversations of prompts.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::failure::Failure;
use super::output::say;
use crate::prompt::ChatOptions;
use crate::session::chat_template_of;

/// How prompts become conversations.
#[derive(Debug, Clone, Args)]
pub struct ChatArguments {
    /// Write prompts with the model's own chat template; NAME chooses among several. Such runs are compared with their like alone
    #[arg(long, alias = "apply_chat_template", value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub apply_chat_template: Option<String>,
    /// Few-shot examples as turns of the conversation (true, the default with a chat template) or all in the question's turn (false)
    #[arg(long, alias = "fewshot_as_multiturn", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub fewshot_as_multiturn: Option<String>,
    /// Text for the system's turn, before a task's description; without a chat template, prompts begin with it
    #[arg(long, alias = "system_instruction", value_name = "TEXT")]
    pub system_instruction: Option<String>,
}

impl ChatArguments {
    /// What they ask for. `model` is where the template is: a model's folder, its tokenizer.json or a GGUF file.
    pub fn options(&self, model: &Path) -> Result<ChatOptions, Failure> {
        let multiturn = self.fewshot_as_multiturn.as_deref();
        let multiturn = multiturn.map(|text| match text.to_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err(Failure::bad_input(
                format!("--fewshot-as-multiturn: `{text}`, expected true or false"),
                "true gives each few-shot example two turns of its own",
            )),
        });
        let multiturn = multiturn.transpose()?;
        let system = self.system_instruction.clone().filter(|text| !text.is_empty());
        let Some(name) = &self.apply_chat_template else {
            if multiturn == Some(true) {
                return Err(Failure::bad_input(
                    "--fewshot-as-multiturn true: there are no turns without a chat template",
                    "give --apply-chat-template too",
                ));
            }
            return Ok(ChatOptions { system, ..ChatOptions::default() });
        };
        let name = Some(name.as_str()).filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("true"));
        let (template, ignored) = chat_template_of(model, name)?;
        if ignored {
            say!(
                "warning: --apply-chat-template {}: {} holds a single template, without a name: that one is used",
                name.unwrap_or_default(),
                template.origin()
            );
        }
        if template.asks_for_time() {
            say!("note: the chat template writes today's date (UTC) into prompts: they are others tomorrow");
        }
        Ok(ChatOptions { template: Some(Arc::new(template)), multiturn: multiturn.unwrap_or(true), system })
    }
}

/// Says that a chat template refuses the system's turn.
pub fn note(without_system: usize) {
    if without_system > 0 {
        say!(
            "warning: the chat template refuses a system's turn: {without_system} prompts go without it, as in lm-evaluation-harness"
        );
    }
}

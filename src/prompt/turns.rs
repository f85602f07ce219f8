//! Turns of a prompt: who says what, and how they become the text that a model reads.

use std::sync::Arc;

use crate::python::text;
use crate::task::{ChatTemplate, ChatTemplateError};

/// Who says a turn, by the names that chat templates know.
pub const SYSTEM: &str = "system";
pub const USER: &str = "user";
pub const ASSISTANT: &str = "assistant";

/// A turn of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub role: &'static str,
    pub text: String,
    /// What follows it in plain text.
    pub delimiter: String,
}

/// How prompts become conversations.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// The model's chat template; without one, prompts are plain text.
    pub template: Option<Arc<ChatTemplate>>,
    /// Whether each few-shot example is two turns of its own; if not, they are all part of the question's turn.
    pub multiturn: bool,
    /// What the system's turn begins with, before a task's description.
    pub system: Option<String>,
}

/// A question with the answer, or the beginning of the answer, that follows it: lm-evaluation-harness's `build_qa_turn`.
pub fn question_and_answer(
    question: String,
    answer: Option<&str>,
    prefix: Option<&str>,
    target_delimiter: &str,
    shot_delimiter: &str,
) -> Vec<Turn> {
    let apart = match prefix {
        Some(prefix) => needs_delimiter(&question, prefix),
        None => answer.is_some(),
    };
    let delimiter = if apart { target_delimiter.to_string() } else { String::new() };
    let mut turns = vec![Turn { role: USER, text: question, delimiter }];
    match (answer, prefix) {
        (Some(answer), prefix) => turns.push(Turn {
            role: ASSISTANT,
            text: delimited(prefix.unwrap_or_default(), answer, " "),
            delimiter: shot_delimiter.to_string(),
        }),
        (None, Some(prefix)) => {
            turns.push(Turn { role: ASSISTANT, text: prefix.to_string(), delimiter: String::new() });
        }
        (None, None) => {}
    }
    turns
}

/// All turns as plain text.
pub fn plain_text<'t>(turns: impl Iterator<Item = &'t Turn> + Clone) -> String {
    let bytes = turns.clone().map(|turn| turn.text.len() + turn.delimiter.len()).sum();
    let mut text = String::with_capacity(bytes);
    for turn in turns {
        text.push_str(&turn.text);
        text.push_str(&turn.delimiter);
    }
    text
}

/// A text by a chat template.
pub struct Chatted {
    pub text: String,
    /// Whether the template refused the system's turn, which was left out.
    pub without_system: bool,
}

/// All turns as the chat template writes them; with `to_continue` the last one is the beginning of an answer.
///
/// As in lm-evaluation-harness, a template that refuses the conversation is asked again without the system's turn.
///
/// # Errors
/// It refuses that too.
pub fn chat_text(
    template: &ChatTemplate,
    turns: &[&Turn],
    multiturn: bool,
    to_continue: bool,
) -> Result<Chatted, ChatTemplateError> {
    let joined;
    let mut said: Vec<(&str, &str)> = Vec::with_capacity(turns.len());
    if multiturn {
        said.extend(turns.iter().map(|turn| (turn.role, turn.text.as_str())));
    } else {
        let (system, rest) = match turns.split_first() {
            Some((first, rest)) if first.role == SYSTEM => (Some(first), rest),
            _ => (None, turns),
        };
        let (answer, asked) = match rest.split_last() {
            Some((last, before)) if last.role == ASSISTANT => (Some(last), before),
            _ => (None, rest),
        };
        let (last, before) = match asked.split_last() {
            Some((last, before)) => (last.text.as_str(), before),
            None => ("", asked),
        };
        joined = plain_text(before.iter().copied()) + last;
        said.extend(system.map(|turn| (turn.role, turn.text.as_str())));
        said.push((USER, joined.as_str()));
        said.extend(answer.map(|turn| (turn.role, turn.text.as_str())));
    }
    match template.render(&said, to_continue) {
        Ok(text) => Ok(Chatted { text, without_system: false }),
        Err(refused) => {
            let count = said.len();
            said.retain(|(role, _)| *role != SYSTEM);
            if said.len() == count {
                return Err(refused);
            }
            // The first refusal says what is wrong with the whole conversation.
            let text = template.render(&said, to_continue).map_err(|_| refused)?;
            Ok(Chatted { text, without_system: true })
        }
    }
}

/// Whether two texts meet without white space between them.
pub fn needs_delimiter(before: &str, after: &str) -> bool {
    let ends = before.chars().next_back().is_none_or(text::is_space);
    let begins = after.chars().next().is_none_or(text::is_space);
    !ends && !begins
}

/// Two texts, with the delimiter between them if both say something and no white space is there.
pub fn delimited(prefix: &str, suffix: &str, delimiter: &str) -> String {
    match (prefix.is_empty(), suffix.is_empty()) {
        (true, _) => suffix.to_string(),
        (_, true) => prefix.to_string(),
        _ if needs_delimiter(prefix, suffix) => format!("{prefix}{delimiter}{suffix}"),
        _ => format!("{prefix}{suffix}"),
    }
}

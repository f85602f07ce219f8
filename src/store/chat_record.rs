//! How prompts became conversations, as `run.json` and a run's identity record it: enough to build the prompts again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::prompt::ChatOptions;
use crate::python::calendar::{days_of, strftime};
use crate::task::{ChatTemplate, ChatTemplateError};
use crate::vocabulary::Fingerprint;

/// The record; null if prompts are plain text without a system instruction.
pub fn chat_json(chat: &ChatOptions) -> Value {
    if chat.template.is_none() && chat.system.is_none() {
        return Value::Null;
    }
    let mut record = json!({ "system_instruction": chat.system });
    if let Some(template) = &chat.template {
        record["fewshot_as_multiturn"] = chat.multiturn.into();
        record["template_sha256"] = sha256(template.source()).into();
        record["template"] = template.source().into();
        record["template_file"] = template.origin().into();
        record["special_tokens"] = json!(template.variables());
        // Other days have other prompts only where the template writes the date.
        if template.asks_for_time() {
            record["date"] = strftime(template.day() * 86_400, "%F").unwrap_or_default().into();
        }
    }
    record
}

/// The options that a record describes.
///
/// # Errors
/// A template that cannot be compiled.
pub fn chat_options(record: &Value) -> Result<ChatOptions, ChatTemplateError> {
    let text = |key: &str| record[key].as_str();
    let template = match text("template") {
        None => None,
        Some(source) => {
            let variables: BTreeMap<String, String> =
                serde_json::from_value(record["special_tokens"].clone()).unwrap_or_default();
            let day = text("date").and_then(|date| {
                let mut parts = date.splitn(3, '-').map(|part| part.parse().ok());
                days_of(parts.next()??, parts.next()??, parts.next()??)
            });
            let day = day.and_then(|day| u64::try_from(day).ok()).unwrap_or_default();
            Some(Arc::new(ChatTemplate::new(
                source,
                text("template_file").unwrap_or("run.json"),
                variables,
                day,
            )?))
        }
    };
    Ok(ChatOptions {
        template,
        multiturn: record["fewshot_as_multiturn"] == true,
        system: text("system_instruction").map(str::to_string),
    })
}

/// What two runs must share to be compared, by name. `template` is the template's text.
pub fn chat_facts(template: Option<&str>, multiturn: bool, system: Option<&str>) -> BTreeMap<String, String> {
    let or_none = |fact: Option<String>| fact.unwrap_or_else(|| "none".to_string());
    let mut facts = BTreeMap::from([
        ("chat template".to_string(), or_none(template.map(sha256))),
        (
            "system instruction".to_string(),
            or_none(system.map(|text| Fingerprint::of(text.as_bytes()).to_string())),
        ),
    ]);
    if template.is_some() {
        facts.insert("shots as turns".to_string(), multiturn.to_string());
    }
    facts
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

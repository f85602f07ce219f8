//! A task as plain text: its data, how it asks, how it scores, and its first prompt.

use super::failure::Failure;
use super::pins;
use crate::dataset::{DatasetStore, Split};
use crate::prompt::{self, PromptOptions, TaskRequests};
use crate::task::{FilterChain, OutputType, Task};
use crate::vocabulary::{AddBosToken, DocumentRequests, Gold, Pin, Request, TaskLimits};

/// The page of a task.
pub fn page(task: &Task, store: &DatasetStore) -> Result<String, Failure> {
    let one = PromptOptions { limits: TaskLimits::from(Some(1)), ..PromptOptions::default() };
    let built = prompt::build(task, store, &one)?;
    pins::announce(built.splits.iter().map(|(name, split)| split.record(name)));
    let mut lines: Vec<String> =
        facts(task, store, &built).into_iter().map(|(name, value)| format!("{name:<10}{value}")).collect();
    if let Some(document) = built.documents.first() {
        lines.push(String::new());
        lines.extend(first_prompt(document));
    }
    Ok(lines.join("\n"))
}

fn facts(task: &Task, store: &DatasetStore, built: &TaskRequests) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("task", task.name.to_string()),
        ("file", task.place.path.display().to_string()),
        ("dataset", dataset(task)),
    ];
    for (place, (name, split)) in built.splits.iter().enumerate() {
        let (key, use_of_it) = match place {
            0 => ("scored", built.available),
            _ => ("shots of", split.rows.len()),
        };
        facts.push((key, format!("split `{name}`, {use_of_it} rows, {}", pin(split))));
    }
    if store.is_sampled(&task.dataset) {
        facts.push(("data", "built-in samples; --datasets DIR shows the real prompt".to_string()));
    }
    facts.push(("asks for", asks_for(task.output_type).to_string()));
    facts.push(("shots", shots(task, built)));
    facts.push(("metrics", joined(task.metrics.iter().map(|metric| metric.name.clone()))));
    for chain in &task.filters {
        facts.push(("filter", filter(chain)));
    }
    if task.output_type == OutputType::GenerateUntil {
        facts.push(("stops", joined(task.generation.until.iter().map(|stop| quoted(stop)))));
        facts.push(("length", format!("at most {} tokens", task.generation.max_new_tokens)));
    }
    facts.push(("begins", begins(task.text_begin.add_bos_token).to_string()));
    if !task.tags.is_empty() {
        facts.push(("tags", task.tags.join(", ")));
    }
    facts
}

fn dataset(task: &Task) -> String {
    let dataset = &task.dataset;
    match (&dataset.config, dataset.data_files.is_empty()) {
        (Some(config), true) => format!("{}, configuration {config}", dataset.path),
        (None, true) => dataset.path.clone(),
        (_, false) => {
            let files = dataset.data_files.iter().flat_map(|(_, files)| files);
            joined(files.map(|file| file.display().to_string()))
        }
    }
}

/// How a split's rows compare with the dataset's pin.
fn pin(split: &Split) -> String {
    let hash = format!("{:.12}", split.content.to_string());
    match &split.pin {
        Pin::Same => format!("the hub's by their hash {hash}.."),
        Pin::Own => "checked against a manifest of the working folder".to_string(),
        Pin::Changed { expected, .. } => {
            format!("hash {hash}.., other than the hub's {:.12}..", expected.to_string())
        }
        Pin::Unpinned { reason, .. } => format!("only counted: {reason}"),
        Pin::Unknown => format!("not pinned, hash {hash}.."),
        Pin::Sample => "built-in samples".to_string(),
    }
}

fn asks_for(output: OutputType) -> &'static str {
    match output {
        OutputType::MultipleChoice => "the loglikelihood of each choice",
        OutputType::Loglikelihood => "the loglikelihood of the target",
        OutputType::GenerateUntil => "a text",
    }
}

fn shots(task: &Task, built: &TaskRequests) -> String {
    match task.fewshot.count {
        Some(0) => "0, and --num-fewshot does not change that".to_string(),
        _ => format!("{}, unless --num-fewshot says otherwise", built.num_fewshot),
    }
}

fn filter(chain: &FilterChain) -> String {
    let steps = chain.steps.iter().map(|step| {
        let arguments: Vec<String> =
            step.arguments.iter().map(|(name, value)| format!("{name}: {}", value.to_json())).collect();
        match arguments.as_slice() {
            [] => step.function.clone(),
            arguments => format!("{} ({})", step.function, arguments.join(", ")),
        }
    });
    format!("{}: {}", chain.name, steps.collect::<Vec<_>>().join(", then "))
}

fn begins(add_bos_token: AddBosToken) -> &'static str {
    match add_bos_token {
        AddBosToken::Always => "with the beginning-of-text token",
        AddBosToken::Never => "without a beginning-of-text token",
        AddBosToken::Tokenizer => "with the beginning-of-text token if the tokenizer adds it",
    }
}

fn first_prompt(document: &DocumentRequests) -> Vec<String> {
    let mut lines = Vec::new();
    let mut shown: Option<&str> = None;
    for (i, request) in document.requests.iter().enumerate() {
        if shown != Some(request.context()) {
            lines.push(format!("--- the first document's context, to its bar ---\n{}|", request.context()));
            shown = Some(request.context());
        }
        match request {
            Request::Loglikelihood { continuation, .. } => {
                lines.push(format!("--- continuation {i}, between bars ---\n|{continuation}|"));
            }
            Request::GenerateUntil { .. } => lines.push("--- here the model writes ---".to_string()),
        }
    }
    lines.push(format!("--- right: {} ---", right(&document.gold, &document.choices)));
    lines
}

fn right(gold: &Gold, choices: &[String]) -> String {
    let choice = |index: usize| match choices.get(index) {
        Some(text) => format!("{index}, {}", quoted(text)),
        None => index.to_string(),
    };
    match gold {
        Gold::Index(index) => format!("choice {}", choice(*index)),
        Gold::NoChoice(label) => format!("hidden (label {label})"),
        Gold::Labels(labels) => format!("labels {}", joined(labels.iter().map(i64::to_string))),
        Gold::Answer(answer) => quoted(answer),
        Gold::Answers(answers) => {
            answers.iter().map(|answer| quoted(answer)).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A text in quotes, with escapes as in JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

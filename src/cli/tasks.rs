//! `assay tasks`: which tasks there are, and what a prompt looks like.

use clap::Args;
use std::process::ExitCode;

use super::arguments::DataArguments;
use super::failure::Failure;
use super::notices::say_task_notes;
use super::output::write_stdout;
use super::pins;
use crate::dataset::DatasetStore;
use crate::prompt::{self, PromptOptions};
use crate::task::{Task, TaskIndex};
use crate::vocabulary::{Request, TaskLimits};

/// `assay tasks`.
#[derive(Debug, Args)]
pub struct TasksArguments {
    /// Task to show
    pub name: Option<String>,
    #[command(flatten)]
    pub data: DataArguments,
}

/// Lists all tasks, or shows one.
pub fn run(arguments: &TasksArguments) -> Result<ExitCode, Failure> {
    let index = TaskIndex::load(&arguments.data.include)?;
    let text = match &arguments.name {
        None => {
            say_task_notes(&index);
            list(&index)
        }
        Some(name) => {
            let store = arguments.data.store()?;
            let selection = index.select(std::slice::from_ref(name))?;
            say_task_notes(&index);
            let shown: Result<Vec<String>, Failure> =
                selection.tasks.iter().take(1).map(|task| show(task, &store)).collect();
            let mut text = shown?.join("\n");
            if selection.tasks.len() > 1 {
                let names: Vec<&str> = selection.tasks.iter().map(|task| &*task.name).collect();
                text = format!("{name} stands for {} tasks: {}\n\n{text}", names.len(), names.join(", "));
            }
            text
        }
    };
    write_stdout(&(text + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn list(index: &TaskIndex) -> String {
    let mut lines = Vec::new();
    for suite in index.suites() {
        let columns: Vec<&str> = suite.columns.iter().map(|column| column.name.as_str()).collect();
        let aliases = suite.aliases.join(", ");
        lines.push(format!("{} (also: {aliases}): {}, {}", suite.name, suite.title, columns.join(", ")));
    }
    lines.push(String::new());
    for (name, tags) in index.tasks() {
        lines.push(if tags.is_empty() { name.to_string() } else { format!("{name}  [{}]", tags.join(", ")) });
    }
    lines.join("\n")
}

fn show(task: &Task, store: &DatasetStore) -> Result<String, Failure> {
    let built = prompt::build(
        task,
        store,
        &PromptOptions { limits: TaskLimits::Each(1), ..PromptOptions::default() },
    )?;
    pins::announce(built.splits.iter().map(|(name, split)| split.record(name)));
    let mut lines = vec![
        format!("task      {}", task.name),
        format!("file      {}", task.place.path.display()),
        format!("dataset   {} {}", task.dataset.path, task.dataset.config.as_deref().unwrap_or("")),
        format!("documents {}", built.available),
        format!("shots     {}", built.num_fewshot),
        format!(
            "metrics   {}",
            task.metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    ];
    if store.is_sampled(&task.dataset) {
        lines.push("data      built-in samples; --datasets DIR shows the real prompt".into());
    }
    if let Some(document) = built.documents.first() {
        let gold = serde_json::to_string(&document.gold).unwrap_or_default();
        lines.push(format!("gold      {gold}"));
        let mut shown: Option<&str> = None;
        for (i, request) in document.requests.iter().enumerate() {
            if shown != Some(request.context()) {
                lines.push(format!("\n--- context of request {i}, to its bar ---\n{}|", request.context()));
                shown = Some(request.context());
            }
            match request {
                Request::Loglikelihood { continuation, .. } => {
                    lines.push(format!("--- continuation {i}, between bars ---\n|{continuation}|"));
                }
                Request::GenerateUntil { until, max_new_tokens, .. } => {
                    lines.push(format!("--- generated until {until:?}, at most {max_new_tokens} tokens ---"));
                }
            }
        }
    }
    Ok(lines.join("\n"))
}

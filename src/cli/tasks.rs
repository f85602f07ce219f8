//! `assay tasks`: which tasks there are, and what a prompt looks like.

use clap::Args;
use std::process::ExitCode;

use super::arguments::DataArguments;
use super::failure::Failure;
use super::notices::say_task_notes;
use super::output::write_stdout;
use super::screen::paper;
use super::task_page::page;
use crate::report::labelled;
use crate::task::TaskIndex;

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
                selection.tasks.iter().take(1).map(|task| page(task, &store)).collect();
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
        let suite = format!("{} (also: {aliases}): {}, {}", suite.name, suite.title, columns.join(", "));
        lines.push(labelled("", &suite, paper().width));
    }
    lines.push(String::new());
    for (name, tags) in index.tasks() {
        lines.push(if tags.is_empty() { name.to_string() } else { format!("{name}  [{}]", tags.join(", ")) });
    }
    lines.join("\n")
}

//! `assay requests`: the requests that a model would get, as JSON lines.

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::arguments::TaskArguments;
use super::chat;
use super::failure::Failure;
use super::hidden_labels;
use super::notices::say_task_notes;
use super::output::{say, write_stdout};
use super::pins;
use crate::evaluate::BuiltTask;
use crate::task::TaskIndex;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Request;

/// `assay requests`.
#[derive(Debug, Args)]
pub struct RequestsArguments {
    #[command(flatten)]
    pub tasks: TaskArguments,
    /// tokenizer.json that encodes the requests
    #[arg(long, value_name = "FILE")]
    pub tokenizer: PathBuf,
}

/// Bytes that are written at once: the requests of a task may be more than memory holds twice.
const PIECE: usize = 1 << 20;

/// Prints one object per document.
pub fn run(arguments: &RequestsArguments) -> Result<ExitCode, Failure> {
    let index = TaskIndex::load(&arguments.tasks.data.include)?;
    let selection = index.select(&arguments.tasks.names()?)?;
    say_task_notes(&index);
    let store = arguments.tasks.data.store()?;
    let tokenizer = Tokenizer::from_file(&arguments.tokenizer)?.without_contradiction()?;
    for note in &tokenizer.notes {
        say!("note: {note}");
    }
    let options = arguments.tasks.prompt_options(&index, &selection, &arguments.tokenizer)?;
    if selection.tasks.iter().any(|task| store.is_sampled(&task.dataset)) {
        say!("note: no --datasets: these requests are of the built-in samples, not of the benchmarks");
    }
    for task in selection.tasks {
        let built = BuiltTask::build(task, &store, &options, &tokenizer)?;
        pins::announce(built.splits());
        chat::note(built.requests.without_system);
        hidden_labels::warn([(&*built.task.name, &built.requests)]);
        let mut lines = String::new();
        for document in 0..built.tokens.len() {
            lines.push_str(&line(&built, document).to_string());
            lines.push('\n');
            if lines.len() > PIECE {
                write_stdout(&lines)?;
                lines.clear();
            }
        }
        write_stdout(&lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(built: &BuiltTask, index: usize) -> Value {
    let document = &built.requests.documents[index];
    let requests: Vec<Value> = document
        .requests
        .iter()
        .zip(&built.tokens[index])
        .map(|(request, tokens)| match (request, tokens) {
            (Request::Loglikelihood { context, continuation }, tokens) => json!({
                "type": "loglikelihood",
                "context": **context,
                "continuation": continuation,
                "context_tokens": tokens.context().to_vec(),
                "continuation_tokens": tokens.continuation(),
            }),
            (Request::GenerateUntil { context, until, .. }, tokens) => json!({
                "type": "generate_until",
                "context": **context,
                "until": until.to_vec(),
                "max_new_tokens": tokens.max_new_tokens(),
                "context_tokens": tokens.context().to_vec(),
            }),
        })
        .collect();
    json!({
        "task": *document.task,
        "doc_id": document.doc_id,
        "row": document.row,
        "gold": document.gold,
        "requests": requests,
    })
}

//! `assay plan`: what a run would cost, without weights.

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::arguments::{TableOrJson, TaskArguments, parse_size};
use super::failure::Failure;
use super::notices::say_task_notes;
use super::output::{say, write_stdout};
use super::pins;
use super::screen::{format_of, paper};
use crate::engine::RequestLimits;
use crate::evaluate::{AnsweredTask, FittedTask, Plan, build_all, fit_all, plan_each};
use crate::model::shape_of;
use crate::report::{Cell, Format, Table};
use crate::session::tokenizer_of;
use crate::task::TaskIndex;

/// `assay plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub tasks: TaskArguments,
    /// tokenizer.json that encodes the requests
    #[arg(long, value_name = "FILE")]
    pub tokenizer: PathBuf,
    /// Model whose context and keys and values are planned for: a folder with config.json or a .gguf file; a 7B's without it
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Memory for keys and values, such as 4GiB; as much as is needed without it
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub kv_memory: Option<u64>,
    /// How to write the plan [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TableOrJson>,
}

/// Bytes of a token's keys and values in a 7B model of Mistral's shape: 32 layers, 8 heads of 128, two bytes
/// per value.
const USUAL_KV_BYTES: u64 = 128 << 10;
/// Context length of the same, in positions.
const USUAL_MAX_LENGTH: usize = 32_768;

/// Prints the plan of each task, and that of all of them: tasks that share a tag are computed as one.
pub fn run(arguments: &PlanArguments) -> Result<ExitCode, Failure> {
    let index = TaskIndex::load(&arguments.tasks.data.include)?;
    let selection = index.select(&arguments.tasks.names()?)?;
    say_task_notes(&index);
    let store = arguments.tasks.data.store()?;
    let tokenizer = tokenizer_of(&arguments.tokenizer)?;
    let (max_length, kv_bytes) = match &arguments.model {
        Some(path) => shape_of(path)?,
        None => (USUAL_MAX_LENGTH, USUAL_KV_BYTES),
    };
    let kv_budget = match arguments.kv_memory {
        Some(bytes) => usize::try_from(bytes / kv_bytes.max(1)).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let options = arguments.tasks.prompt_options(&index, &selection, &arguments.tokenizer)?;
    if selection.tasks.iter().any(|task| store.is_sampled(&task.dataset)) {
        say!("note: no --datasets: this is the plan of the built-in samples, not of the benchmarks");
    }
    let limits =
        RequestLimits { max_length, vocab_size: usize::MAX, kv_budget, kv_bytes_per_token: kv_bytes };
    let built = build_all(selection.tasks, &store, &options, &tokenizer, &|| false)?;
    let fitted = fit_all(built.unwrap_or_default(), limits)?;
    pins::announce(fitted.iter().flat_map(FittedTask::splits));
    let open: Vec<AnsweredTask<'_>> = fitted.iter().map(AnsweredTask::new).collect();
    let (each, total) = plan_each(&open, kv_budget)?;
    let names = fitted.iter().map(|fitted| fitted.task.name.to_string());
    let tasks: Vec<(String, Plan)> = names.zip(each).collect();
    let text = match format_of(arguments.format, TableOrJson::Json)? {
        TableOrJson::Json => {
            let tasks: Map<String, Value> =
                tasks.iter().map(|(name, plan)| (name.clone(), counts(plan))).collect();
            let all = json!({"total": counts(&total), "tasks": tasks, "kv_bytes_per_token": kv_bytes});
            serde_json::to_string_pretty(&all).unwrap_or_default()
        }
        TableOrJson::Table => table(&tasks, &total, kv_bytes),
    };
    write_stdout(&(text + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn counts(plan: &Plan) -> Value {
    json!({
        "requests": plan.requests,
        "tokens_alone": plan.tokens_alone,
        "tokens_planned": plan.tokens_planned,
        "peak_live_kv_tokens": plan.peak_live_kv_tokens,
    })
}

fn table(tasks: &[(String, Plan)], total: &Plan, kv_bytes: u64) -> String {
    let head =
        ["Task", "Documents", "Requests", "Tokens alone", "Tokens planned", "Peak KV tokens", "Peak KV MiB"];
    let row = |name: &str, plan: &Plan| -> Vec<Cell> {
        let counts =
            [plan.documents, plan.requests, plan.tokens_alone, plan.tokens_planned, plan.peak_live_kv_tokens];
        let mebibytes = (plan.peak_live_kv_tokens as u64 * kv_bytes) >> 20;
        let mut row = vec![Cell::Text(name.to_string())];
        row.extend(counts.iter().map(|count| Cell::Count(*count as u64)));
        row.push(Cell::Count(mebibytes));
        row
    };
    let mut rows: Vec<Vec<Cell>> = tasks.iter().map(|(name, plan)| row(name, plan)).collect();
    rows.push(row("all", total));
    Table { head: head.map(str::to_string).to_vec(), rows }.render_on(
        Format::Table,
        paper(),
        &["Peak KV tokens", "Tokens alone"],
    )
}

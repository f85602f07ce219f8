//! `assay cache`: the answers that are cached across runs.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::arguments::{TableOrJson, parse_size};
use super::failure::Failure;
use super::output::{note, write_stdout};
use super::screen::{format_of, paper};
use crate::report::{Cell, Format, Table};
use crate::session::{DEFAULT_CACHE_SIZE, cache_folder};
use crate::store::{CachedModel, cached_models, prune, rfc3339};

/// `assay cache`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CacheArguments {
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
    /// How to write the list [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TableOrJson>,
}

/// `assay cache ...`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Remove answers, the least recently used first
    Prune {
        /// Keep at most SIZE, such as 500MiB [default: 1GiB]
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_size: Option<u64>,
        /// Remove what was not used for AGE, such as 30days
        #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
        older_than: Option<std::time::Duration>,
        /// Remove all
        #[arg(long, conflicts_with_all = ["max_size", "older_than"])]
        all: bool,
    },
}

/// Shows or prunes the cache.
pub fn run(arguments: &CacheArguments) -> Result<ExitCode, Failure> {
    let folder = cache_folder().ok_or_else(|| {
        Failure::bad_input("there is no folder for a cache", "name one with ASSAY_CACHE, or set HOME")
    })?;
    match &arguments.command {
        None => show(folder, format_of(arguments.format, TableOrJson::Json)?),
        Some(CacheCommand::Prune { max_size, older_than, all }) => {
            let since = older_than.and_then(|age| SystemTime::now().checked_sub(age));
            let bound = match (all, max_size) {
                (true, _) => 0,
                (false, Some(size)) => *size,
                // With an age alone, the size is not bounded.
                (false, None) if older_than.is_some() => u64::MAX,
                (false, None) => DEFAULT_CACHE_SIZE,
            };
            let pruned = prune(&folder, bound, since)?;
            note!("{} removed, of {} models", HumanBytes(pruned.bytes), pruned.files);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(folder: PathBuf, format: TableOrJson) -> Result<ExitCode, Failure> {
    let models = cached_models(&folder)?;
    let text = match format {
        TableOrJson::Json => {
            let models: Vec<Value> = models
                .iter()
                .map(|model| {
                    json!({
                        "file": model.path.display().to_string(),
                        "model": model.model.as_ref().map(|(name, _)| name),
                        "identity": model.model.as_ref().map(|(_, identity)| identity),
                        "answers": model.answers,
                        "bytes": model.bytes,
                        "used": rfc3339(model.used),
                    })
                })
                .collect();
            format!("{:#}", json!({"folder": folder.display().to_string(), "models": models}))
        }
        TableOrJson::Table => table(&models),
    };
    write_stdout(&(text + "\n"))?;
    let bytes = models.iter().map(|model| model.bytes).sum();
    note!("{} in {}", HumanBytes(bytes), folder.display());
    Ok(ExitCode::SUCCESS)
}

fn table(models: &[CachedModel]) -> String {
    let head = ["Model", "Weights", "Format", "Kernels", "Answers", "KiB", "Last used"];
    let row = |model: &CachedModel| -> Vec<Cell> {
        let (name, identity) = model.model.clone().unwrap_or_else(|| ("damaged".into(), Value::Null));
        let text = |value: &Value| Cell::Text(value.as_str().unwrap_or("-").to_string());
        let weights = identity["weights"][0].as_str().unwrap_or("-");
        vec![
            Cell::Text(name),
            Cell::Text(weights.get(..12).unwrap_or(weights).to_string()),
            text(&identity["dtype"]),
            text(&identity["kernels"]),
            Cell::Count(model.answers as u64),
            Cell::Count(model.bytes.div_ceil(1024)),
            Cell::Text(rfc3339(model.used)),
        ]
    };
    Table { head: head.map(str::to_string).to_vec(), rows: models.iter().map(row).collect() }.render_on(
        Format::Table,
        paper(),
        &["Weights", "Kernels", "Format"],
    )
}

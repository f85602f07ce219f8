//! The arguments of `assay eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::arguments::{TaskArguments, parse_size};
use super::model_arguments::ModelArguments;
use super::run_names::ResultsArgument;
use crate::engine::Speculation;

/// The flag for other views of generations, named after the task that they are known from. Task files define
/// the views.
pub const VIEWS: &str = "gsm8k-views";

/// `assay eval`.
#[derive(Debug, Args)]
pub struct EvalArguments {
    #[command(flatten)]
    pub model: ModelArguments,
    #[command(flatten)]
    pub tasks: TaskArguments,
    /// Folder for the results; a fresh one in the folder of runs without it
    #[arg(long, value_name = "DIR", conflicts_with = "results")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub results: ResultsArgument,
    /// Name of the run, by which other commands find it; the model's without it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Speculative decoding: draft from earlier tokens, and check the drafts in one pass: fewer passes, the same answers. auto
    /// where it is known to pay: on the CPU, and while a draft is likely enough; on: every draft that is found
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub speculate: SpeculateArgument,
    /// Continue GSM8K's generations past the ":" that the leaderboard cut them at, and score them in three ways: as the leaderboard
    /// did, without that stop, and with flexible extraction. The leaderboard's own score stays the same; takes more tokens.
    /// Applies to every task whose file declares `views`
    #[arg(long = VIEWS)]
    pub views: bool,
    /// Say what the run would take, as `assay plan` does, and end there: nothing is computed and nothing written
    #[arg(long)]
    pub dry_run: bool,
    /// A row for each task in tables, also where several share a tag
    #[arg(long)]
    pub by_subject: bool,
    /// Neither read nor write answers kept across runs, nor hashes of weight files
    #[arg(long)]
    pub no_cache: bool,
    /// Disk space of the answers kept across runs; the least recently used go first [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub cache_size: Option<u64>,
}

/// `--speculate`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SpeculateArgument {
    Auto,
    On,
    Off,
}

impl SpeculateArgument {
    /// The setting for a device. `Auto` is off elsewhere than on the CPU, since the cost of a row was
    /// measured there only.
    pub fn on_device(self, device: &str) -> Speculation {
        match self {
            SpeculateArgument::Auto if device == "cpu" => Speculation::Auto,
            SpeculateArgument::On => Speculation::On,
            SpeculateArgument::Auto | SpeculateArgument::Off => Speculation::Off,
        }
    }
}

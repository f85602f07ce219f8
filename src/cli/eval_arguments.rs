//! The arguments of `assay eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::arguments::{TaskArguments, parse_size};
use super::run_names::ResultsArgument;
use crate::engine::Speculation;
use crate::model::{DeviceChoice, DtypeChoice};

/// The flag for other views of generations, named after the task that they are known from. Task files define
/// the views.
pub const VIEWS: &str = "gsm8k-views";

/// `assay eval`.
#[derive(Debug, Args)]
pub struct EvalArguments {
    /// A folder with config.json, tokenizer.json and safetensors, or a .gguf file; the built-in sample model where neither --model
    /// nor --datasets is given
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Take built-in samples for what is not given of --model and --datasets; the numbers are not scores
    #[arg(long)]
    pub samples: bool,
    #[command(flatten)]
    pub tasks: TaskArguments,
    /// tokenizer.json to use instead of the model's own
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Go on where the tokenizer is not the model's: other files than its own, another number of tokens, or other special tokens
    #[arg(long)]
    pub allow_other_tokenizer: bool,
    /// Folder for the results; a fresh one in the folder of runs without it
    #[arg(long, value_name = "DIR", conflicts_with = "results")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub results: ResultsArgument,
    /// Name of the run, by which other commands find it; the model's without it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Number format of weights and activations; auto is the model's own (f32 for GGUF)
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    pub dtype: DtypeArgument,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse_device)]
    pub device: DeviceChoice,
    /// Threads; all cores without it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Memory for keys and values, such as 4GiB; half of what is free without it
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub kv_memory: Option<u64>,
    /// Speculative decoding: draft from earlier tokens, and check the drafts in one pass: fewer passes, the same answers. auto
    /// where it is known to pay: on the CPU, and while a draft is likely enough; on: every draft that is found
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub speculate: SpeculateArgument,
    /// Continue GSM8K's generations past the ":" that the leaderboard cut them at, and score them in three ways: as the leaderboard
    /// did, without that stop, and with flexible extraction. The leaderboard's own score stays the same; takes more tokens.
    /// Applies to every task whose file declares `views`
    #[arg(long = VIEWS)]
    pub views: bool,
    /// Neither read nor write answers kept across runs, nor hashes of weight files
    #[arg(long)]
    pub no_cache: bool,
    /// Disk space of the answers kept across runs; the least recently used go first [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub cache_size: Option<u64>,
}

/// `--dtype`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DtypeArgument {
    Auto,
    #[value(alias = "float32")]
    F32,
    #[value(alias = "bfloat16")]
    Bf16,
    #[value(alias = "float16")]
    F16,
}

impl From<DtypeArgument> for DtypeChoice {
    fn from(argument: DtypeArgument) -> Self {
        match argument {
            DtypeArgument::Auto => DtypeChoice::Auto,
            DtypeArgument::F32 => DtypeChoice::F32,
            DtypeArgument::Bf16 => DtypeChoice::Bf16,
            DtypeArgument::F16 => DtypeChoice::F16,
        }
    }
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

fn parse_device(text: &str) -> Result<DeviceChoice, String> {
    match text {
        "auto" => Ok(DeviceChoice::Auto),
        "cpu" => Ok(DeviceChoice::Cpu),
        "cuda" => Ok(DeviceChoice::Cuda(0)),
        _ => {
            let number = text.strip_prefix("cuda:").and_then(|n| n.parse().ok());
            let fault = "nothing is computed there, expected auto, cpu, cuda or cuda:N";
            number.map(DeviceChoice::Cuda).ok_or_else(|| fault.to_string())
        }
    }
}

//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::failure::Failure;
use super::limit::LimitArgument;
use crate::dataset::DatasetStore;
use crate::engine::Speculation;
use crate::model::{DeviceChoice, DtypeChoice};
use crate::prompt::PromptOptions;
use crate::report::Format;
use crate::task::{Selection, TaskIndex};

/// The flag for other views of generated texts, by the name of the task that people know them of. What they are stands in task files.
pub const VIEWS: &str = "gsm8k-views";

/// Scores local language models on the benchmarks of the Open LLM Leaderboard (v1), exactly.
#[derive(Debug, Parser)]
#[command(name = "assay", version, about, max_term_width = 110)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Score a model on tasks
    Eval(EvalArguments),
    /// Print every request as JSON lines, without a model
    Requests(RequestsArguments),
    /// Count requests and tokens, without weights
    Plan(PlanArguments),
    /// List tasks, or show one with its first prompt
    Tasks(TasksArguments),
    /// Hold all datasets against their pins; exit code 1 if one differs
    Datasets(DatasetsArguments),
    /// Check a run against its record, or list what two runs do not have in common
    Verify(VerifyArguments),
    /// Say whether a merge is better than its parents, by the documents that both answered
    Compare(CompareArguments),
    /// Show or prune the answers kept across runs
    Cache(CacheArguments),
    /// Show published scores and the complete runs under results/
    Leaderboard(LeaderboardArguments),
}

/// Which tasks, over which data.
#[derive(Debug, Args)]
pub struct TaskArguments {
    /// Tasks, tags or suites, separated by commas; `*` matches anything
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    pub tasks: Vec<String>,
    /// Only the first N documents of each task (after its shuffle). NAME=N, separated by commas, limits the tasks that NAME
    /// stands for, which is read as in --tasks; where several name a task, the last one holds. N beside them is for tasks that none
    /// names: 4,NAME=8
    #[arg(long, value_name = "N|NAME=N,..", allow_negative_numbers = true)]
    pub limit: Option<LimitArgument>,
    /// Use N shots instead of each task's own number (tasks that declare 0 keep it)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub num_fewshot: Option<u32>,
    #[command(flatten)]
    pub data: DataArguments,
}

impl TaskArguments {
    /// The names asked for, without white space around them.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        let names = self.tasks.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_string).collect();
        match names.is_empty() {
            true => Err(Failure::bad_input("--tasks names no task", "`assay tasks` lists all")),
            false => Ok(names),
        }
    }

    /// What changes the prompts of the tasks that were chosen.
    pub fn prompt_options(&self, index: &TaskIndex, selection: &Selection) -> Result<PromptOptions, Failure> {
        let limits = self.limit.as_ref().map(|limit| limit.of(index, selection)).transpose()?;
        Ok(PromptOptions {
            limits: limits.unwrap_or_default(),
            num_fewshot: self.num_fewshot.map(|n| n as usize),
        })
    }
}

/// Where task files and datasets are.
#[derive(Debug, Args)]
pub struct DataArguments {
    /// Folder of datasets: <owner>/<name>/<config>/<split>-00000-of-00001.parquet (or .jsonl, .csv); built-in samples without it
    #[arg(long, value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// Folder of task files of your own (repeatable)
    #[arg(long, value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// Go on where a dataset's rows are not those it is pinned to; a run over them is not ranked
    #[arg(long)]
    pub allow_dataset_change: bool,
}

impl DataArguments {
    /// The datasets.
    pub fn store(&self) -> Result<DatasetStore, Failure> {
        Ok(DatasetStore::new(self.datasets.clone())?.allowing_changes(self.allow_dataset_change))
    }
}

/// `assay eval`.
#[derive(Debug, Args)]
pub struct EvalArguments {
    /// A folder with config.json, tokenizer.json and safetensors, or a .gguf file; the built-in sample model without it
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub tasks: TaskArguments,
    /// tokenizer.json to use instead of the model's own
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Folder for the results; a fresh one under results/ without it
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
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
    /// Draft texts by what stood before, and check the drafts in one pass: fewer passes, the same answers. auto where it is
    /// known to pay: on the CPU, and while a draft is likely enough; on: every draft that is found
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub speculate: SpeculateArgument,
    /// Let GSM8K's texts on past the ":" that the leaderboard cut them at, and score them in three ways: as the leaderboard did,
    /// without that stop, and with flexible extraction. The score of the leaderboard's way stays the same; takes more tokens.
    /// So for every task whose file declares `views`
    #[arg(long = VIEWS)]
    pub views: bool,
    /// Neither read nor write answers kept across runs, nor hashes of weight files
    #[arg(long)]
    pub no_cache: bool,
    /// What answers kept across runs may take on disk; those not used for longest go first [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub cache_size: Option<u64>,
}

/// `assay requests`.
#[derive(Debug, Args)]
pub struct RequestsArguments {
    #[command(flatten)]
    pub tasks: TaskArguments,
    /// tokenizer.json that encodes the requests
    #[arg(long, value_name = "FILE")]
    pub tokenizer: PathBuf,
}

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
    /// How to write the plan
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableOrJson,
}

/// `--format` where there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableOrJson {
    Table,
    Json,
}

/// `assay tasks`.
#[derive(Debug, Args)]
pub struct TasksArguments {
    /// Task to show
    pub name: Option<String>,
    #[command(flatten)]
    pub data: DataArguments,
}

/// `assay datasets`.
#[derive(Debug, Args)]
pub struct DatasetsArguments {
    /// Folder of datasets: <owner>/<name>/<config>/<split>-00000-of-00001.parquet (or .jsonl, .csv); only the pins without it
    #[arg(long, value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// A line for every split, not one for all configurations that agree
    #[arg(long)]
    pub all: bool,
    /// How to write the list; JSON has every split, and hashes in full
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableOrJson,
}

/// `assay verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Folder of a run
    pub run: PathBuf,
    /// Folder of another run: list what differs between the two, before any score
    #[arg(long, value_name = "RUN")]
    pub against: Option<PathBuf>,
    /// Where the datasets are now; where the run found them without it
    #[arg(long, value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// Where task files of your own are now (repeatable)
    #[arg(long, value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// Where the model is now
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Where the tokenizer is now
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// How to write the findings: a line each, or JSON
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableOrJson,
}

/// `assay compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Folder of the merge's run; or of another harness's, see the parents
    pub merge: PathBuf,
    /// Folders of the runs that it is compared with, each by itself: its parents. Also lm-evaluation-harness's results_*.json with
    /// samples_*.jsonl beside it, its old *_write_out_info.json, or a folder of either; or published.csv:MODEL
    #[arg(required = true, value_name = "PARENT")]
    pub parents: Vec<PathBuf>,
    /// How to write the comparison
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: CompareFormat,
    /// Compare the documents that all the runs have, where some have more
    #[arg(long)]
    pub common: bool,
    /// Go on where number format, device, kernels or code were not the same: rounding alone may then decide documents
    #[arg(long)]
    pub allow_other_numerics: bool,
    /// List the documents that the merge and a parent do not both have right or both wrong
    #[arg(long)]
    pub flips: bool,
    /// Exit with code 1 if a verdict, or the average's, is this
    #[arg(long, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,
    /// Where random numbers begin: permutations and the bootstrap draw them
    #[arg(long, value_name = "N", default_value = "1234")]
    pub seed: u64,
    /// For the prompts of --flips, and to find documents of other harnesses: where the datasets are now; where the run found them
    /// without it
    #[arg(long, value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// Where task files of your own are now (repeatable)
    #[arg(long, value_name = "DIR")]
    pub include: Vec<PathBuf>,
}

/// `--format` of `assay compare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    Table,
    Markdown,
    Json,
}

/// `--fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Worse,
}

/// `assay cache`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CacheArguments {
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
    /// How to write the list
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableOrJson,
}

/// `assay cache ...`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Remove answers, those first that were not used for longest
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

/// `assay leaderboard`.
#[derive(Debug, Args)]
pub struct LeaderboardArguments {
    /// How to write the table
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: FormatArgument,
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
    /// What is asked for on a device. What a row costs was measured on the CPU only.
    pub fn on_device(self, device: &str) -> Speculation {
        match self {
            SpeculateArgument::Auto if device == "cpu" => Speculation::Auto,
            SpeculateArgument::On => Speculation::On,
            SpeculateArgument::Auto | SpeculateArgument::Off => Speculation::Off,
        }
    }
}

/// `--format`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatArgument {
    Table,
    Markdown,
    Csv,
    Json,
}

impl From<FormatArgument> for Format {
    fn from(argument: FormatArgument) -> Self {
        match argument {
            FormatArgument::Table => Format::Table,
            FormatArgument::Markdown => Format::Markdown,
            FormatArgument::Csv => Format::Csv,
            FormatArgument::Json => Format::Json,
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
            number.map(DeviceChoice::Cuda).ok_or_else(|| "expected auto, cpu, cuda or cuda:N".to_string())
        }
    }
}

/// Bytes: a number with KiB, MiB, GiB or TiB (or K, M, G, T for the same), or without a unit.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().trim_end_matches("ib") {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return Err("expected a size such as 4GiB or 512MiB".into()),
    };
    let number: f64 =
        digits.trim().parse().map_err(|_| "expected a size such as 4GiB or 512MiB".to_string())?;
    let bytes = number * (1u64 << shift) as f64;
    if bytes >= 1.0 && bytes < u64::MAX as f64 {
        Ok(bytes as u64)
    } else {
        Err("expected a size above zero and below 16 EiB".into())
    }
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_binary() {
        assert_eq!(parse_size("4GiB"), Ok(4 << 30));
        assert_eq!(parse_size("1.5g"), Ok(3 << 29));
        assert_eq!(parse_size("4096"), Ok(4096));
        for bad in ["", "GiB", "-1GiB", "0", "4XiB", "nanGiB", "4 GiB x"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}

//! Arguments that several commands share.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::chat::ChatArguments;
use super::failure::Failure;
use super::limit::LimitArgument;
use crate::dataset::DatasetStore;
use crate::prompt::PromptOptions;
use crate::task::{Selection, TaskIndex};
use crate::vocabulary::AddBosToken;

/// Which tasks, over which data.
#[derive(Debug, Args)]
pub struct TaskArguments {
    /// Tasks, tags or suites, separated by commas; `*` matches anything
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    pub tasks: Vec<String>,
    /// Only the first N documents of each task (after its shuffle), or that share of them where N is below 1. NAME=N, separated by commas, limits the tasks that NAME
    /// stands for, which is read as in --tasks; where several name a task, the last one holds. N beside them is for tasks that none
    /// names: 4,NAME=8
    #[arg(long, value_name = "N|NAME=N,..", allow_negative_numbers = true)]
    pub limit: Option<LimitArgument>,
    /// Use N shots instead of each task's own number (tasks that declare 0 keep it)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub num_fewshot: Option<u32>,
    /// Whether texts begin with the beginning-of-text token: true, false, or as the tokenizer says [default: tokenizer, and false for
    /// the leaderboard's tasks]
    #[arg(long, value_name = "WHEN", value_parser = parse_add_bos_token)]
    pub add_bos_token: Option<AddBosToken>,
    #[command(flatten)]
    pub chat: ChatArguments,
    #[command(flatten)]
    pub data: DataArguments,
}

impl TaskArguments {
    /// The requested names, without white space around them.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        let names = self.tasks.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_string).collect();
        if names.is_empty() {
            return Err(Failure::bad_input("--tasks names no task", "`assay tasks` lists all"));
        }
        Ok(names)
    }

    /// The options that change the prompts of the selected tasks.
    /// `model` is where its chat template is: a folder, a tokenizer.json or a GGUF file.
    pub fn prompt_options(
        &self,
        index: &TaskIndex,
        selection: &Selection,
        model: &Path,
    ) -> Result<PromptOptions, Failure> {
        let limits = self.limit.as_ref().map(|limit| limit.of(index, selection)).transpose()?;
        Ok(PromptOptions {
            limits: limits.unwrap_or_default(),
            num_fewshot: self.num_fewshot.map(|n| n as usize),
            add_bos_token: self.add_bos_token,
            chat: self.chat.options(model)?,
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

/// `--format` where there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TableOrJson {
    #[default]
    Table,
    Json,
}

fn parse_add_bos_token(text: &str) -> Result<AddBosToken, String> {
    AddBosToken::of_word(text).ok_or_else(|| format!("expected one of {}", AddBosToken::WORDS.join(", ")))
}

/// Parses a size in bytes: a number with KiB, MiB, GiB or TiB (or K, M, G, T for the same), or without a
/// unit.
pub fn parse_size(text: &str) -> Result<u64, String> {
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

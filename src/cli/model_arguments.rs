//! Arguments about the model, of commands that run one or plan for one.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::arguments::{DataArguments, parse_size};
use super::failure::Failure;
use crate::dataset::DatasetStore;
use crate::model::{DeviceChoice, DtypeChoice, LoadOptions};
use crate::task::Selection;

/// Which model, and how it is computed.
#[derive(Debug, Args)]
pub struct ModelArguments {
    /// A folder with config.json, tokenizer.json and safetensors, or a .gguf file; the built-in sample model where neither --model
    /// nor --datasets is given
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Take built-in samples for what is not given of --model and --datasets; the numbers are not scores
    #[arg(long)]
    pub samples: bool,
    /// tokenizer.json to use instead of the model's own
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Go on where the tokenizer is not the model's: other files than its own, another number of tokens, or other special tokens
    #[arg(long)]
    pub allow_other_tokenizer: bool,
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
}

impl ModelArguments {
    /// How to load the model.
    pub fn options(&self) -> LoadOptions {
        LoadOptions { dtype: self.dtype.into(), device: self.device, ..LoadOptions::default() }
    }

    /// Where the model's chat template is, if it is at `path`.
    pub fn template_place<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.tokenizer.as_deref().unwrap_or(path)
    }

    /// Sets the size of the thread pool that tokenisation and matrix products use, and returns it.
    pub fn use_threads(&self) -> Result<usize, Failure> {
        let threads = match self.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism().map_or(1, |n| n.get()),
        };
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|error| {
            Failure::bad_input(
                format!("{threads} threads cannot be started: {error}"),
                "ask for fewer with --threads",
            )
        })?;
        Ok(threads)
    }

    /// An error where a real model would score built-in sample rows, or the sample model real rows: that number means nothing, and
    /// looks like a score.
    pub fn refuse_half_samples(
        &self,
        data: &DataArguments,
        selection: &Selection,
        store: &DatasetStore,
    ) -> Result<(), Failure> {
        if self.samples {
            return Ok(());
        }
        let sampled = selection.tasks.iter().find(|task| store.is_sampled(&task.dataset));
        match (&self.model, &data.datasets, sampled) {
            (Some(_), None, Some(task)) => Err(Failure::bad_input(
                format!("no --datasets: the rows of task `{}` would be built-in samples", task.name),
                "give the folder of datasets with --datasets, or --samples to score built-in sample rows",
            )),
            (None, Some(_), _) => Err(Failure::bad_input(
                "no --model: the built-in sample model would score real rows",
                "give the model with --model, or --samples to try the sample model on these rows",
            )),
            _ => Ok(()),
        }
    }
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

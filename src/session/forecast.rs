//! What a run would take, without weights and without a run folder.

use std::path::Path;

use super::error::SessionError;
use super::kv_memory::kv_budget_beside;
use super::model_source::{ModelSource, tokenizer_of};
use super::notice::{Notice, Notify};
use super::tokenizer_choice::ChosenTokenizer;
use crate::bounds;
use crate::dataset::DatasetStore;
use crate::engine::{ROWS_PER_PASS, RequestLimits};
use crate::evaluate::{FittedTask, Plan, build_all, fit_all};
use crate::model::{ForwardError, LoadOptions, ModelFiles, ModelNeeds};
use crate::prompt::PromptOptions;
use crate::task::Task;

/// Of which model a forecast is.
pub enum ForecastModel<'a> {
    /// A model, computed with these options, and perhaps another tokenizer than its own.
    Own {
        source: &'a ModelSource,
        options: LoadOptions,
        tokenizer: Option<&'a Path>,
        allow_other_tokenizer: bool,
    },
    /// None: requests are counted with this tokenizer, and a 7B's context and keys and values are assumed.
    Assumed { tokenizer: &'a Path },
}

/// Inputs of a forecast.
pub struct ForecastInputs<'a> {
    pub model: ForecastModel<'a>,
    pub tasks: Vec<Task>,
    /// Where the tasks' rows are.
    pub store: &'a DatasetStore,
    /// Options that change the tasks' prompts.
    pub prompts: &'a PromptOptions,
    /// Memory for keys and values, in bytes.
    pub kv_memory: Option<u64>,
}

/// Fitted tasks, and what the model takes.
pub struct Forecast {
    pub tasks: Vec<FittedTask>,
    /// `None` where no model was given.
    pub model: Option<ModelNeeds>,
    /// What requests are fitted to.
    pub limits: RequestLimits,
    /// Bytes of memory that are free now; `None` if that is unknown, as of a GPU.
    pub free_memory: Option<u64>,
    /// Bytes that the keys and values of the longest request take.
    pub longest_kv_bytes: u64,
    /// Whether that is more than a run takes without `--kv-memory`.
    pub needs_kv_memory: bool,
}

/// Bytes of a token's keys and values in a 7B model of Mistral's shape: 32 layers, 8 heads of 128, two bytes
/// per value.
const ASSUMED_KV_BYTES: u64 = 128 << 10;
/// Context length of the same, in positions.
const ASSUMED_LENGTH: usize = 32_768;

/// Reads configuration and tokenizer, and builds the tasks' requests.
///
/// # Errors
/// The model's or the tokenizer's, or that of the first task that fails.
pub fn forecast(inputs: ForecastInputs<'_>, notify: Notify<'_>) -> Result<Forecast, SessionError> {
    let ForecastInputs { model, tasks, store, prompts, kv_memory } = inputs;
    let (model, tokenizer) = match model {
        ForecastModel::Own { source, options, tokenizer, allow_other_tokenizer } => {
            let files = ModelFiles::open_with_or_without_weights(&source.path)?;
            if !files.have_weights() {
                notify(Notice::NoWeights(source.path.clone()));
            }
            let chosen = ChosenTokenizer::find(source, tokenizer, &files)?;
            chosen.check(&files, allow_other_tokenizer, notify)?;
            (Some(ModelNeeds::of(&files, options)?), chosen.tokenizer)
        }
        ForecastModel::Assumed { tokenizer } => {
            let tokenizer = tokenizer_of(tokenizer)?;
            tokenizer.notes.iter().for_each(|what| notify(Notice::TokenizerNote(what.clone())));
            (None, tokenizer)
        }
    };
    let free_memory = bounds::free_memory().filter(|_| model.as_ref().is_some_and(ModelNeeds::is_on_cpu));
    let limits = limits(model.as_ref(), kv_memory, free_memory);
    let built = build_all(tasks, store, prompts, &tokenizer, &|| false)?;
    // Where a run would end for want of memory, a forecast says what is needed, unless it was said how much there is.
    let kv_budget = if kv_memory.is_some() { limits.kv_budget } else { usize::MAX };
    let tasks = fit_all(built, RequestLimits { kv_budget, ..limits })?;
    let longest = tasks.iter().map(FittedTask::longest).max().unwrap_or(0);
    let needs_kv_memory = longest > limits.kv_budget;
    let limits = RequestLimits { kv_budget: limits.kv_budget.max(longest), ..limits };
    let longest_kv_bytes = longest as u64 * limits.kv_bytes_per_token;
    Ok(Forecast { tasks, model, limits, free_memory, longest_kv_bytes, needs_kv_memory })
}

fn limits(model: Option<&ModelNeeds>, kv_memory: Option<u64>, free_memory: Option<u64>) -> RequestLimits {
    let Some(needs) = model else {
        let kv_budget = kv_memory.map_or(usize::MAX, |bytes| (bytes / ASSUMED_KV_BYTES) as usize);
        return RequestLimits {
            max_length: ASSUMED_LENGTH,
            vocab_size: usize::MAX,
            kv_budget,
            kv_bytes_per_token: ASSUMED_KV_BYTES,
        };
    };
    let kv_bytes_per_token = needs.kv_bytes_per_token;
    let kv_budget = match free_memory {
        // A run takes half of what is free beside the weights.
        Some(_) => kv_budget_beside(kv_memory, kv_bytes_per_token, free_memory, needs.weight_bytes),
        None => kv_budget_beside(kv_memory, kv_bytes_per_token, bounds::free_memory(), 0),
    };
    RequestLimits {
        max_length: needs.max_length,
        vocab_size: needs.vocab_size,
        kv_budget,
        kv_bytes_per_token,
    }
}

/// The memory that a run takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeeds {
    pub weights: u64,
    /// At the peak of the plan.
    pub keys_and_values: u64,
    /// Scratch memory of passes; `None` if it is unknown, as on a GPU.
    pub passes: Option<u64>,
}

impl MemoryNeeds {
    /// All of it that is known.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.keys_and_values).saturating_add(self.passes.unwrap_or(0))
    }
}

impl Forecast {
    /// The memory that a run with this plan takes; `None` where no model was given.
    pub fn memory(&self, plan: &Plan) -> Option<MemoryNeeds> {
        let needs = self.model.as_ref()?;
        Some(MemoryNeeds {
            weights: needs.weight_bytes,
            keys_and_values: plan.peak_live_kv_tokens as u64 * needs.kv_bytes_per_token,
            passes: needs.is_on_cpu().then(|| needs.pass_bytes(ROWS_PER_PASS)),
        })
    }

    /// Estimates the seconds per token, by a product of the model's width on this machine; `None` where no model was given.
    ///
    /// # Errors
    /// The device's.
    pub fn seconds_per_token(&self) -> Result<Option<f64>, ForwardError> {
        self.model.as_ref().map(ModelNeeds::seconds_per_token).transpose()
    }
}

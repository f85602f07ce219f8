//! The phases of a run: prepare its model and tasks, find and lock its folder, recall earlier answers, store
//! new ones, write its files. They are [`prepare`], [`settle`], [`SettledRun::evaluate`] and
//! [`EvaluatedRun::finish`], in this order.

mod chat_template;
mod destination;
mod error;
mod finish;
mod forecast;
mod kept_answers;
mod kv_memory;
mod merge_recipe;
mod model_source;
mod notice;
mod prepare;
mod settle;
mod setup;
mod spans;
mod tokenizer_choice;
mod usage;
mod weight_hashes;

pub use chat_template::chat_template_of;
pub use destination::{Destination, RESULTS};
pub use error::SessionError;
pub use finish::{EvaluatedRun, FinishedRun};
pub use forecast::{Forecast, ForecastInputs, ForecastModel, MemoryNeeds, forecast};
pub use kept_answers::{DEFAULT_CACHE_SIZE, cache_folder};
pub use kv_memory::kv_budget;
pub use merge_recipe::merge_recipe;
pub use model_source::{ModelSource, tokenizer_of};
pub use notice::{Notice, Notify};
pub use prepare::{Preparation, Prepared, prepare};
pub use settle::{FittedRun, SettledRun, settle};
pub use setup::RunSetup;
pub use spans::Spans;

//! Runs on disk: writing one, and reading those of the past.

mod past;
mod run_folder;
mod shape;

pub use past::{Line, PastError, past_runs, published};
pub use run_folder::{RunFolder, StoreError};
pub use shape::{ModelRecord, RunRecord, results_json, run_json};

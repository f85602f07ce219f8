//! Runs on disk: writing a run so that nothing is lost, reading past runs, and caching answers across runs.

mod begun_run;
mod cache_files;
mod chat_record;
mod compared_folder;
mod differences;
mod file_hashes;
mod foreign;
mod identity;
mod journal;
mod journaling_ledger;
mod listed_run;
mod model_record;
mod past;
mod published_row;
mod recheck;
mod record_file;
mod recorded_run;
mod response_cache;
mod run_folder;
mod run_json;
mod samples;
mod typed_command;

pub use cache_files::{CachedModel, Pruned, cached_models, prune};
pub use compared_folder::{ComparedError, Detail, compared_folder};
pub use differences::{Difference, differences, shown};
pub use file_hashes::{FileHashes, Stamp};
pub use foreign::{
    ForeignError, ForeignRun, ForeignTask, RequestsByTask, compared_foreign, is_foreign, read_foreign,
};
pub use identity::{model_identity, run_identity};
pub use journal::{History, JOURNAL, Journal, JournalError, RequestKey, Session, SessionWork};
pub use journaling_ledger::{JournalingLedger, Keys};
pub use listed_run::{ListedRun, RunState, listed_runs};
pub use model_record::ModelRecord;
pub use past::{Line, PastError, past_runs, published};
pub use published_row::{published_run, published_spec};
pub use recheck::{Rechecked, journal_differences, recheck, recheck_groups, recheck_suite};
pub use record_file::RecordError;
pub use recorded_run::{RecordedError, RecordedRun};
pub use response_cache::{Key, ResponseCache};
pub use run_folder::{RunFolder, StoreError};
pub use run_json::{Answers, RunRecord, results_json, rfc3339, run_json, seal_of, split_json};
pub use samples::{Sample, TaskSamples, samples_file};
pub use typed_command::TypedCommand;

//! Whole commands, as typed.

mod answers_kept;
mod bad_input;
mod beginning;
mod chat;
mod compare;
mod compare_bad_input;
mod compared_runs;
mod damaged_files;
mod elsewhere;
mod eval;
mod faults;
mod groups;
mod harness_files;
#[cfg(unix)]
mod hostile_files;
mod kills;
mod limits;
mod lm_eval_flags;
mod model_paths;
mod near_ties;
mod other_tokenizer;
mod pins;
mod plan;
mod run_names;
mod same_samples;
mod screen;
mod tables;
mod task_names;
mod too_large;
mod unfinished;
mod verify;
mod views;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// The binary, in `folder`, with a response cache of its own.
pub fn assay(folder: &Path) -> Command {
    static CACHES: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let cache = CACHES.path().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.current_dir(folder).env("ASSAY_CACHE", cache);
    command
}

/// Runs the binary with `arguments` in an empty folder of its own.
pub fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    assay(folder.path()).args(arguments).output().unwrap()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

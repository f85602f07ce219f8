//! Detects which harness wrote a folder or a file, and reads it.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::names_in;
use super::run::{ForeignError, ForeignRun};
use super::{harness, write_out};
use crate::task::Task;

/// Whether `path` is to be read by [`read_foreign`]; a run of our own is a folder with `run.json`.
pub fn is_foreign(path: &Path) -> bool {
    if path.is_dir() {
        !path.join("run.json").exists() && kind_of(path).is_some()
    } else {
        path.extension().is_some_and(|ending| ending == "json")
    }
}

/// The harness that wrote the files.
enum Kind {
    /// lm-evaluation-harness 0.4: the folder with the files.
    Results(PathBuf),
    /// lm-evaluation-harness before 0.4.
    WriteOut,
}

/// Detects what a folder holds. 0.4 writes into a folder of the model's name below the one that it is given.
fn kind_of(folder: &Path) -> Option<Kind> {
    let has = |folder: &Path, found: fn(&str) -> bool| names_in(folder).iter().any(|name| found(name));
    if has(folder, write_out::is_one) {
        return Some(Kind::WriteOut);
    }
    if has(folder, harness::is_results) || has(folder, harness::is_samples) {
        return Some(Kind::Results(folder.to_path_buf()));
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    below.retain(|folder| has(folder, harness::is_results));
    below.sort();
    match below.len() {
        1 => below.pop().map(Kind::Results),
        0 => None,
        // Several: reading the folder reports the ambiguity.
        _ => Some(Kind::Results(folder.to_path_buf())),
    }
}

/// Reads the run in a folder, or that of a results file. Tasks that are not in `tasks` are left out, with a
/// note.
///
/// # Errors
/// Files are missing, damaged, or inconsistent with one another.
pub fn read_foreign(path: &Path, tasks: &[Task]) -> Result<ForeignRun, ForeignError> {
    if !path.exists() {
        return Err(ForeignError::new(
            format!("{}: no such run", path.display()),
            "give the folder of a run, or results of another harness",
        ));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if path.is_dir() {
        match kind_of(path) {
            Some(Kind::Results(folder)) => harness::read_folder(&folder, tasks),
            Some(Kind::WriteOut) => write_out::read_folder(path, tasks),
            None => Err(ForeignError::new(
                format!("{}: neither run.json nor results of another harness", path.display()),
                "give a folder that `assay eval` wrote, one with results_*.json and samples_*.jsonl of lm-evaluation-harness \
                 0.4, or one with *_write_out_info.json",
            )),
        }
    } else if write_out::is_one(&name) {
        write_out::read_files(&[path.to_path_buf()], path, tasks)
    } else {
        harness::read_results(path, tasks)
    }
}

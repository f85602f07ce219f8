//! Runs that other harnesses made: their files, read into plain data.

mod harness;
mod pairing;
mod write_out;

pub use pairing::{AskedOf, compared_outside};

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde_json::Value;
use thiserror::Error;

use crate::task::Task;
use crate::vocabulary::{Fingerprint, Fingerprinter, Request};

/// Files of another harness that cannot be read as a run.
#[derive(Debug, Error, Diagnostic)]
#[error("{what}")]
#[diagnostic(code(assay::input), help("{hint}"))]
pub struct OutsideError {
    what: String,
    hint: String,
}

impl OutsideError {
    /// What is wrong, with its place, and what to do.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// A run as another harness wrote it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OutsideRun {
    /// The model, as it is called there, or the folder where no file says.
    pub name: String,
    /// The number format, where it is known.
    pub dtype: Option<String>,
    /// Its tasks.
    pub tasks: Vec<OutsideTask>,
    /// What whoever reads its scores has to know.
    pub notes: Vec<String>,
}

/// A task of such a run, in that harness's words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OutsideTask {
    /// Its name there.
    pub name: String,
    /// The file with its documents.
    pub file: String,
    /// Shots, where they are known.
    pub shots: Option<usize>,
    /// Documents of the split, where they are known.
    pub available: Option<usize>,
    /// Stops of generated texts, where there are any and they are known.
    pub until: Option<Vec<String>>,
    /// Scores that the run itself gives, by metric.
    pub scores: BTreeMap<String, f64>,
    /// Its documents, by rising `doc_id`.
    pub documents: Vec<OutsideDocument>,
}

/// A document of such a task.
#[derive(Debug, Clone, PartialEq)]
pub struct OutsideDocument {
    /// Its number there.
    pub doc_id: usize,
    /// Where it stands in the file: the line, or the number of the entry, from 1.
    pub place: usize,
    /// Hash of all that the model was asked about it, see [`asked_of`].
    pub asked: Fingerprint,
    /// Values by metric, with the chain of filters behind a comma where it has one.
    pub values: BTreeMap<String, f64>,
    /// What was read out of a generated text, by chain of filters.
    pub answers: BTreeMap<String, String>,
    /// What was right, as it is written there.
    pub target: Option<String>,
}

/// Hash of what a model is asked about a document: each context with its continuation, and a generated text's context alone. All
/// harnesses keep that much; one of them does not keep where a continuation begins.
pub fn asked_of<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Fingerprint {
    let mut hasher = Fingerprinter::default();
    for request in requests {
        let continuation = match request {
            Request::Loglikelihood { continuation, .. } => continuation,
            Request::GenerateUntil { .. } => "",
        };
        hasher.part(format!("{}{continuation}", request.context()).as_bytes());
    }
    hasher.finish()
}

/// Whether `path` is for [`read_outside`]: a run of our own is a folder with `run.json`.
pub fn is_outside(path: &Path) -> bool {
    match path.is_dir() {
        true => !path.join("run.json").exists() && kind_of(path).is_some(),
        false => path.extension().is_some_and(|ending| ending == "json"),
    }
}

/// What writes such files.
enum Kind {
    /// lm-evaluation-harness 0.4: the folder with the files.
    Results(PathBuf),
    /// Before it.
    WriteOut,
}

/// What a folder holds; 0.4 writes into a folder of the model's name below the one that it is given.
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
        // Of several it is told which there are, by whoever reads them.
        0 => None,
        _ => Some(Kind::Results(folder.to_path_buf())),
    }
}

/// Reads the run in a folder, or that of a results file. Tasks that none of `tasks` is are left out, with a note.
///
/// # Errors
/// Files that are missing, damaged, or do not agree with one another.
pub fn read_outside(path: &Path, tasks: &[Task]) -> Result<OutsideRun, OutsideError> {
    if !path.exists() {
        return Err(OutsideError::new(
            format!("{}: no such run", path.display()),
            "give the folder of a run, or results of another harness",
        ));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match path.is_dir() {
        true => match kind_of(path) {
            Some(Kind::Results(folder)) => harness::read_folder(&folder, tasks),
            Some(Kind::WriteOut) => write_out::read_folder(path, tasks),
            None => Err(OutsideError::new(
                format!("{}: neither run.json nor results of another harness", path.display()),
                "give a folder that `assay eval` wrote, one with results_*.json and samples_*.jsonl of lm-evaluation-harness \
                 0.4, or one with *_write_out_info.json",
            )),
        },
        false if write_out::is_one(&name) => write_out::read_files(&[path.to_path_buf()], path, tasks),
        false => harness::read_results(path, tasks),
    }
}

/// The names of a folder's files, in order.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let mut names: Vec<String> =
        files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn open(path: &Path) -> Result<BufReader<File>, OutsideError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> OutsideError {
    OutsideError::new(
        format!("{}: cannot be read: {error}", path.display()),
        "check that the file is there and readable",
    )
}

/// A fault of a file's JSON; `line` is added where the file is read line by line.
fn damaged(path: &Path, line: usize, error: &serde_json::Error) -> OutsideError {
    let column = error.column().max(1);
    let line = line + error.line().max(1);
    // Its own words end with its own place.
    let what = error.to_string().to_lowercase();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
    OutsideError::new(
        format!("{}:{line}:{column}: {what}", path.display()),
        "the file is cut off or damaged, or holds a number that is none: write it again",
    )
}

/// A metric's value of one document; none where it is no number at all, such as a list.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        // The old harness writes values as Python prints them.
        Value::String(text) => match text.as_str() {
            "True" => Some(1.0),
            "False" => Some(0.0),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

/// What is wrong with documents as a whole: the same one twice, or a metric that only some of them have.
fn check(task: &mut OutsideTask) -> Result<(), OutsideError> {
    task.documents.sort_by_key(|document| document.doc_id);
    let file = &task.file;
    for pair in task.documents.windows(2) {
        if pair[0].doc_id == pair[1].doc_id {
            let (doc_id, first, second) = (pair[0].doc_id, pair[0].place, pair[1].place);
            return Err(OutsideError::new(
                format!(
                    "{file}:{}: document {doc_id} stands at {} too",
                    first.max(second),
                    first.min(second)
                ),
                "the file is of several runs: keep the documents of one",
            ));
        }
    }
    let Some(first) = task.documents.first() else {
        return Err(OutsideError::new(format!("{file}: no document"), "write it again"));
    };
    for document in &task.documents {
        let unlike = first.values.keys().find(|name| !document.values.contains_key(*name));
        let unlike = unlike.or(document.values.keys().find(|name| !first.values.contains_key(*name)));
        if let Some(name) = unlike {
            return Err(OutsideError::new(
                format!(
                    "{file}:{}: document {} and document {} do not both have the metric `{name}`",
                    document.place, document.doc_id, first.doc_id
                ),
                "the file is of several runs, or was cut off: write it again",
            ));
        }
        if let Some((name, value)) = document.values.iter().find(|(_, value)| !value.is_finite()) {
            return Err(OutsideError::new(
                format!(
                    "{file}:{}: document {}: metric `{name}` is {value}, expected a number",
                    document.place, document.doc_id
                ),
                "a document without a score cannot be compared: leave the task out",
            ));
        }
    }
    Ok(())
}

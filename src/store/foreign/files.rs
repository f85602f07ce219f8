//! Helpers for the readers of other harnesses' files.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use serde_json::Value;

use super::run::{ForeignError, ForeignTask};

use crate::disk;

/// The names of a folder's files, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let mut names: Vec<String> =
        files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Opens a file.
pub fn open(path: &Path) -> Result<BufReader<File>, ForeignError> {
    let file = disk::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// The error of a file that cannot be read.
pub fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> ForeignError {
    ForeignError::new(
        format!("{}: cannot be read: {error}", path.display()),
        "check that the file is there and readable",
    )
}

/// The error of a file's invalid JSON; `line` is the number of lines before it, if the file is read line by
/// line.
pub fn damaged(path: &Path, line: usize, error: &serde_json::Error) -> ForeignError {
    let column = error.column().max(1);
    let line = line + error.line().max(1);
    // The message of serde_json ends with its own position.
    let what = error.to_string().to_lowercase();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
    ForeignError::new(
        format!("{}:{line}:{column}: {what}", path.display()),
        "the file is cut off or damaged, or holds a number that is none: write it again",
    )
}

/// A metric's value of one document; `None` if it is not a number, such as a list.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        // lm-evaluation-harness before 0.4 writes values as Python prints them.
        Value::String(text) => match text.as_str() {
            "True" => Some(1.0),
            "False" => Some(0.0),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

/// Sorts the documents, and checks that none occurs twice, that all have the same metrics, and that all
/// values are finite.
pub fn check(task: &mut ForeignTask) -> Result<(), ForeignError> {
    task.documents.sort_by_key(|document| document.doc_id);
    let file = &task.file;
    for pair in task.documents.windows(2) {
        if pair[0].doc_id == pair[1].doc_id {
            let (doc_id, first, second) = (pair[0].doc_id, pair[0].place, pair[1].place);
            return Err(ForeignError::new(
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
        return Err(ForeignError::new(format!("{file}: no document"), "write it again"));
    };
    for document in &task.documents {
        let unlike = first.values.keys().find(|name| !document.values.contains_key(*name));
        let unlike = unlike.or(document.values.keys().find(|name| !first.values.contains_key(*name)));
        if let Some(name) = unlike {
            return Err(ForeignError::new(
                format!(
                    "{file}:{}: document {} and document {} do not both have the metric `{name}`",
                    document.place, document.doc_id, first.doc_id
                ),
                "the file is of several runs, or was cut off: write it again",
            ));
        }
        if let Some((name, value)) = document.values.iter().find(|(_, value)| !value.is_finite()) {
            return Err(ForeignError::new(
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

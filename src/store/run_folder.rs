//! A run's folder: `results.json`, `samples/<task>.jsonl`, `run.json`.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::vocabulary::{Outcome, TaskRecord};

/// A run's folder cannot be made or written.
#[derive(Debug, Error, Diagnostic)]
#[diagnostic(code(assay::input))]
pub enum StoreError {
    /// The folder is in use.
    #[error("{path}: the folder holds another run ({found})")]
    #[diagnostic(help("name another folder with --output, or remove this one"))]
    Occupied {
        /// The folder.
        path: String,
        /// What was found there.
        found: String,
    },
    /// The system refuses.
    #[error("{path}: cannot be written: {source}")]
    #[diagnostic(help(
        "name a folder that you may write to with --output, and check that the disk is not full"
    ))]
    Unwritable {
        /// The file or folder.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// A folder that one run writes to.
pub struct RunFolder {
    path: PathBuf,
    /// Folders made for this run, the innermost first, to be removed again if nothing comes of it.
    made: Vec<PathBuf>,
}

const FILES: [&str; 3] = ["results.json", "run.json", "samples"];

impl RunFolder {
    /// Makes the folder, or takes an existing one that holds no run; a file is written there and removed, so that a run of hours
    /// does not find out at its end.
    ///
    /// # Errors
    /// The folder holds a run or cannot be written.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let unwritable = |source| StoreError::Unwritable { path: path.display().to_string(), source };
        if let Some(found) = FILES.iter().find(|file| path.join(file).exists()) {
            return Err(StoreError::Occupied { path: path.display().to_string(), found: found.to_string() });
        }
        let missing = path.ancestors().filter(|p| !p.as_os_str().is_empty()).take_while(|p| !p.exists());
        let made: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        fs::create_dir_all(path).map_err(unwritable)?;
        let probe = path.join(".assay-writes");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(unwritable)?;
        Ok(Self { path: path.to_path_buf(), made })
    }

    /// A fresh folder below `parent` whose name begins with `stem`.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn fresh(parent: &Path, stem: &str) -> Result<Self, StoreError> {
        let mut path = parent.join(stem);
        for number in 2.. {
            if !path.exists() {
                break;
            }
            path = parent.join(format!("{stem}-{number}"));
        }
        Self::create(&path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder again if it was made for this run and nothing was written.
    pub fn abandon(self) {
        for folder in self.made {
            // Fails where something was written, which then stays.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }

    /// Writes `samples/<task>.jsonl`, a line a document.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_samples(&self, record: &TaskRecord) -> Result<(), StoreError> {
        let folder = self.path.join("samples");
        let path = folder.join(format!("{}.jsonl", record.task.replace(['/', '\\'], "_")));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            let partial = path.with_extension("jsonl.part");
            let mut file = BufWriter::new(fs::File::create(&partial)?);
            for outcome in &record.outcomes {
                serde_json::to_writer(&mut file, &sample(outcome))?;
                file.write_all(b"\n")?;
            }
            file.into_inner()?.sync_all()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| StoreError::Unwritable { path: path.display().to_string(), source })
    }

    /// Writes a JSON file whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, name: &str, value: &Value) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let write = || -> io::Result<()> {
            let partial = path.with_extension("json.part");
            let mut file = fs::File::create(&partial)?;
            serde_json::to_writer_pretty(&mut file, value)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| StoreError::Unwritable { path: path.display().to_string(), source })
    }
}

/// A document's line. Metrics stand under their own names, beside what they were computed from and how narrowly they were decided.
fn sample(outcome: &Outcome) -> Value {
    let mut line = Map::new();
    line.insert("doc_id".into(), outcome.doc_id.into());
    line.insert("row".into(), outcome.row.into());
    line.insert("gold".into(), serde_json::to_value(&outcome.gold).unwrap_or_default());
    line.insert("requests".into(), serde_json::to_value(&outcome.responses).unwrap_or_default());
    let decisions = || outcome.metrics.iter().filter_map(|m| Some((m.name.clone(), m.decision?)));
    let margins: Map<String, Value> =
        decisions().filter_map(|(name, decision)| Some((name, decision.margin?.into()))).collect();
    let near_ties: Map<String, Value> =
        decisions().map(|(name, decision)| (name, decision.near_tie.into())).collect();
    for (key, of_metrics) in [("margin", margins), ("near_tie", near_ties)] {
        if !of_metrics.is_empty() {
            line.insert(key.into(), of_metrics.into());
        }
    }
    for measured in &outcome.metrics {
        line.insert(measured.name.clone(), measured.value.into());
    }
    Value::Object(line)
}

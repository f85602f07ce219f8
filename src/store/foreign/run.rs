//! A run as another harness wrote it, as plain data.

use std::collections::BTreeMap;

use miette::Diagnostic;
use thiserror::Error;

use crate::vocabulary::{Fingerprint, Fingerprinter, Request};

/// Files of another harness that cannot be read as a run.
#[derive(Debug, Error, Diagnostic)]
#[error("{what}")]
#[diagnostic(code(assay::input), help("{hint}"))]
pub struct ForeignError {
    what: String,
    hint: String,
}

impl ForeignError {
    /// What is wrong, with its place, and what to do.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// A run as another harness wrote it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForeignRun {
    /// The model, as it is called there, or the folder where no file says.
    pub name: String,
    /// The number format, where it is known.
    pub dtype: Option<String>,
    /// Its tasks.
    pub tasks: Vec<ForeignTask>,
    /// What whoever reads its scores has to know.
    pub notes: Vec<String>,
}

/// A task of such a run, in that harness's words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForeignTask {
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
    pub documents: Vec<ForeignDocument>,
}

/// A document of such a task.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignDocument {
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

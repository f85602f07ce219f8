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
    /// `what` says what is wrong and where, `hint` what to do.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// A run as another harness wrote it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForeignRun {
    /// The model's name there, or the folder's if no file gives one.
    pub name: String,
    /// The number format, where it is known.
    pub dtype: Option<String>,
    /// Whether it was told to put the beginning-of-text token before texts, where it was told.
    pub add_bos_token: Option<bool>,
    /// Chat template and system instruction, where they are known.
    pub chat: BTreeMap<String, String>,
    pub tasks: Vec<ForeignTask>,
    /// Notes that are needed to read its scores.
    pub notes: Vec<String>,
}

/// A task of such a run, in that harness's terms.
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
    /// Scores that the run itself reports, by metric.
    pub scores: BTreeMap<String, f64>,
    /// Sorted by `doc_id`.
    pub documents: Vec<ForeignDocument>,
}

/// A document of such a task.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignDocument {
    /// Its number there.
    pub doc_id: usize,
    /// Its location in the file: the line, or the number of the entry, from 1.
    pub place: usize,
    /// Hash of its requests, see [`request_hash`].
    pub asked: Fingerprint,
    /// Values by metric; the name of a filter chain, if there is one, follows a comma.
    pub values: BTreeMap<String, f64>,
    /// The answer extracted from a generation, by filter chain.
    pub answers: BTreeMap<String, String>,
    /// The gold answer, as it is written there.
    pub target: Option<String>,
}

/// Hash of a document's requests: each context with its continuation, and a generation's context alone. All
/// harnesses record that much; one of them does not record where a continuation begins.
pub fn request_hash<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Fingerprint {
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

//! Why runs cannot be compared.

use miette::Diagnostic;
use thiserror::Error;

/// Runs cannot be compared.
#[derive(Debug, Error, Diagnostic, PartialEq)]
#[diagnostic(code(assay::input))]
pub enum CompareError {
    /// No run.
    #[error("there is no run to compare")]
    #[diagnostic(help("give a merge and its parents"))]
    Nothing,
    /// Nothing says which run is the merge.
    #[error("which of the runs is the merge is not known: {why}")]
    #[diagnostic(help("say it with --merge RUN; the others are its parents then"))]
    WhichMerge {
        /// Why not.
        why: String,
    },
    /// Answers were computed in different ways.
    #[error("{left} and {right} were computed otherwise: {how}")]
    #[diagnostic(help(
        "a difference could be one of rounding: run both in the same way, or go on with --allow-other-numerics"
    ))]
    Numerics {
        left: String,
        right: String,
        /// The facts that differ.
        how: String,
    },
    /// A run is not comparable with published ones.
    #[error("{run} cannot stand beside {published}: {how}")]
    #[diagnostic(help(
        "published scores are over whole benchmarks: run without --limit, over the datasets and shots of the leaderboard"
    ))]
    Unranked {
        run: String,
        published: String,
        /// Why not.
        how: String,
    },
    /// Documents or prompts differ, by the facts that determine them.
    #[error("{left} and {right} were asked other things in {task}: {how}")]
    #[diagnostic(help(
        "run both with the same datasets, task files, shots and --add-bos-token; `assay verify RUN --against OTHER` lists all that differs"
    ))]
    Setup {
        left: String,
        right: String,
        task: String,
        /// The facts that differ.
        how: String,
    },
    /// Only one of the runs has some documents.
    #[error(
        "{left} and {right} have other documents in {task}: {left_only} only in the first, {right_only} only in the second, {both} in both"
    )]
    #[diagnostic(help("--common compares the documents that both have"))]
    Documents {
        left: String,
        right: String,
        task: String,
        /// Number of documents that only the first has.
        left_only: usize,
        /// Number of documents that only the second has.
        right_only: usize,
        /// Number of documents that both have.
        both: usize,
    },
    /// The runs have no document in common.
    #[error("{left} and {right} have no document of {task} in common")]
    #[diagnostic(help(
        "compare runs over the same documents: with the same task files, datasets and --limit"
    ))]
    NoDocument { left: String, right: String, task: String },
    /// A document is not the same in both.
    #[error("{left} and {right}: document {doc_id} of {task} has another {what}")]
    #[diagnostic(help(
        "the runs are not over the same data: `assay verify RUN` says which of them is not what it was"
    ))]
    Document {
        left: String,
        right: String,
        task: String,
        doc_id: usize,
        /// What differs.
        what: &'static str,
    },
    /// A document occurs twice.
    #[error("{run}: document {doc_id} of {task} stands there twice")]
    #[diagnostic(help("the samples are damaged: run again, or take the files as they were written"))]
    Twice { run: String, task: String, doc_id: usize },
    /// A document does not have one value from 0 to 1 for each metric.
    #[error("{run}: document {doc_id} of {task} has no value from 0 to 1 for each metric")]
    #[diagnostic(help("the samples are damaged: run again, or take the files as they were written"))]
    NoNumber { run: String, task: String, doc_id: usize },
    /// The runs have no task in common.
    #[error("{merge} and {parent} have no task in common")]
    #[diagnostic(help("compare runs of the same tasks: `assay eval --tasks` names them"))]
    NoTask { merge: String, parent: String },
}

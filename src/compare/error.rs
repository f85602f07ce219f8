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
    /// Answers computed in other ways.
    #[error("{left} and {right} were computed otherwise: {how}")]
    #[diagnostic(help(
        "a difference could be one of rounding: run both in the same way, or go on with --allow-other-numerics"
    ))]
    Numerics {
        /// A run.
        left: String,
        /// Another.
        right: String,
        /// The facts that differ.
        how: String,
    },
    /// A run that is not as published ones are.
    #[error("{run} cannot stand beside {published}: {how}")]
    #[diagnostic(help(
        "published scores are over whole benchmarks: run without --limit, over the datasets and shots of the leaderboard"
    ))]
    Unranked {
        /// The run.
        run: String,
        /// The published one.
        published: String,
        /// Why not.
        how: String,
    },
    /// Other documents or prompts, by what decides them.
    #[error("{left} and {right} were asked other things in {task}: {how}")]
    #[diagnostic(help(
        "run both with the same datasets, task files and shots; `assay verify RUN --against OTHER` lists all that differs"
    ))]
    Setup {
        /// A run.
        left: String,
        /// Another.
        right: String,
        /// The task.
        task: String,
        /// The facts that differ.
        how: String,
    },
    /// Documents that only one has.
    #[error(
        "{left} and {right} have other documents in {task}: {left_only} only in the first, {right_only} only in the second, {both} in both"
    )]
    #[diagnostic(help("--common compares the documents that both have"))]
    Documents {
        /// A run.
        left: String,
        /// Another.
        right: String,
        /// The task.
        task: String,
        /// How many only the first has.
        left_only: usize,
        /// How many only the second has.
        right_only: usize,
        /// How many both have.
        both: usize,
    },
    /// Not one document in common.
    #[error("{left} and {right} have no document of {task} in common")]
    #[diagnostic(help(
        "compare runs over the same documents: with the same task files, datasets and --limit"
    ))]
    NoDocument {
        /// A run.
        left: String,
        /// Another.
        right: String,
        /// The task.
        task: String,
    },
    /// A document that is not the same in both.
    #[error("{left} and {right}: document {doc_id} of {task} has another {what}")]
    #[diagnostic(help(
        "the runs are not over the same data: `assay verify RUN` says which of them is not what it was"
    ))]
    Document {
        /// A run.
        left: String,
        /// Another.
        right: String,
        /// The task.
        task: String,
        /// The document.
        doc_id: usize,
        /// What differs.
        what: &'static str,
    },
    /// A document twice.
    #[error("{run}: document {doc_id} of {task} stands there twice")]
    #[diagnostic(help("the samples are damaged: run again, or take the files as they were written"))]
    Twice {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// The document.
        doc_id: usize,
    },
    /// A value that is no number.
    #[error("{run}: document {doc_id} of {task} has no value from 0 to 1 for each metric")]
    #[diagnostic(help("the samples are damaged: run again, or take the files as they were written"))]
    NoNumber {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// The document.
        doc_id: usize,
    },
    /// No task in common.
    #[error("{merge} and {parent} have no task in common")]
    #[diagnostic(help("compare runs of the same tasks: `assay eval --tasks` names them"))]
    NoTask {
        /// The merge.
        merge: String,
        /// The parent.
        parent: String,
    },
}

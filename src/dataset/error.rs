//! Errors of reading a dataset's rows.

use miette::Diagnostic;
use thiserror::Error;

use super::manifest::ManifestError;
use crate::vocabulary::{FETCH_LFS, Fingerprint};

/// A dataset's rows cannot be read.
#[derive(Debug, Error, Diagnostic)]
pub enum DatasetError {
    /// The folder has no such dataset.
    #[error("{root}: no dataset `{id}`")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    NoDataset {
        /// The folder of datasets.
        root: String,
        id: String,
        hint: String,
    },
    /// The dataset has no such configuration.
    #[error("{path}: no configuration `{config}`, found {found}")]
    #[diagnostic(
        code(assay::input),
        help(
            "the folder's layout is <owner>/<name>/<config>/<split>-00000-of-00001.parquet (or .jsonl, .csv); check `dataset_name` in the task file"
        )
    )]
    NoConfig {
        /// The dataset's folder.
        path: String,
        config: String,
        /// The names found there.
        found: String,
    },
    /// The configuration has no such split.
    #[error("{path}: no split `{split}`, found {found}")]
    #[diagnostic(
        code(assay::input),
        help(
            "a split is a file named <split>-00000-of-00001.parquet (or .jsonl, .csv); check the task file's `test_split` and `fewshot_split`"
        )
    )]
    NoSplit {
        /// The configuration's folder.
        path: String,
        split: String,
        /// The splits found there.
        found: String,
    },
    /// Files of several exports.
    #[error("{path}: split `{split}` is there more than once: {found}")]
    #[diagnostic(code(assay::input), help("keep the files of one export"))]
    SplitTwice { path: String, split: String, found: String },
    /// A shard of a split is missing.
    #[error("{path}: shard {missing} of {shards} is missing")]
    #[diagnostic(code(assay::input), help("download the dataset again: all shards must be there"))]
    NoShard {
        path: String,
        /// Index of the missing shard, from 0.
        missing: usize,
        /// Expected number of shards.
        shards: usize,
    },
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    #[diagnostic(code(assay::input), help("check that the file exists and is readable"))]
    Unreadable { path: String, source: std::io::Error },
    /// A pointer that git-lfs left in a file's place.
    #[error("{path}: a pointer of git-lfs, not the file itself")]
    #[diagnostic(code(assay::input), help("{FETCH_LFS}"))]
    Pointer { path: String },
    /// A file is damaged, or not of the kind that its name says.
    #[error("{path}: {what}")]
    #[diagnostic(
        code(assay::input),
        help("the file is damaged or not of the kind that its name says: download it again")
    )]
    Corrupt { path: String, what: String },
    /// A file whose rows take more memory than there is, or than a file of its size may.
    #[error("{path}: {what}")]
    #[diagnostic(
        code(assay::input),
        help(
            "files that are made for it take all memory; if these are the rows that you want, free some or raise `ulimit -v`"
        )
    )]
    TooLarge { path: String, what: String },
    /// A split has no rows.
    #[error("{path}: split `{split}` has no rows")]
    #[diagnostic(
        code(assay::input),
        help("download the dataset again, or check the task file's split names")
    )]
    Empty {
        /// The dataset's id.
        path: String,
        split: String,
    },
    /// A split's rows differ from those that its manifest pins.
    #[error(
        "{root}: `{split}` of {id} ({config}) is not the hub's: {rows} rows with the hash {found}, expected {expected_rows} rows \
         with the hash {expected}"
    )]
    #[diagnostic(
        code(assay::input),
        help("download the dataset again, or go on with --allow-dataset-change: the run is then not ranked")
    )]
    Changed {
        /// The folder of datasets.
        root: String,
        id: String,
        config: String,
        split: String,
        /// Rows read.
        rows: usize,
        /// Their hash.
        found: Fingerprint,
        /// Rows of the hub's split.
        expected_rows: usize,
        /// Their hash.
        expected: Fingerprint,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Manifest(#[from] ManifestError),
    /// A dataset has no built-in samples.
    #[error("no built-in samples for dataset `{id}`")]
    #[diagnostic(
        code(assay::input),
        help("give the folder that holds it with --datasets DIR, in the hub's layout")
    )]
    NoSamples { id: String },
}

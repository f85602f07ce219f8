//! Warnings about a run that continues.

use std::path::PathBuf;

use crate::store::RecordError;

/// Receives each [`Notice`] as it occurs.
pub type Notify<'a> = &'a mut dyn FnMut(Notice);

/// A warning: it does not end the run.
#[derive(Debug)]
pub enum Notice {
    /// The tokenizer has more tokens than the model has embeddings. Its last tokens may never be used.
    TokenizerLarger {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the model's embedding.
        rows: usize,
    },
    /// The tokenizer may not be the model's, and was allowed.
    OtherTokenizer(String),
    /// Something in the tokenizer's file is not followed.
    TokenizerNote(String),
    /// The model's configuration names other special tokens of the tokenizer than the tokenizer does.
    SpecialTokensDiffer(String),
    /// The weights of the model in this folder are not there, or not all of them.
    NoWeights(PathBuf),
    /// Another process is doing the same run in this folder.
    FolderBusy(PathBuf),
    /// The last record of this journal is incomplete and is dropped.
    RecordDropped(PathBuf),
    /// The unfinished run in this folder is resumed.
    Resumed(PathBuf),
    /// Damaged answers in the response cache are dropped.
    CacheDamaged {
        count: usize,
        /// The line of the first one.
        line: usize,
        /// What is wrong with that one.
        what: String,
    },
    /// The response cache is damaged: it is set aside and started anew.
    CacheSetAside(RecordError),
    /// The run continues without the response cache.
    CacheUnusable(RecordError),
    /// Not all answers are in the response cache.
    CacheIncomplete(RecordError),
    /// Old answers were removed from the response cache, to keep it within its size limit.
    CachePruned { bytes: u64 },
    /// The response cache could not be kept within its size limit.
    CacheUnbounded(RecordError),
}

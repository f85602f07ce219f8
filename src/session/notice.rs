//! What people should know of a run, though it goes on.

use std::path::PathBuf;

use crate::store::RecordError;

/// Gets each [`Notice`] as it comes.
pub type Notify<'a> = &'a mut dyn FnMut(Notice);

/// Something that people should know and that ends nothing.
#[derive(Debug)]
pub enum Notice {
    /// The tokenizer has more tokens than the model has embeddings. Its last tokens may never be used.
    TokenizerLarger {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the model's embedding.
        rows: usize,
    },
    /// Another process is doing the same run in this folder.
    FolderBusy(PathBuf),
    /// The last record of this journal was cut short and is dropped.
    RecordDropped(PathBuf),
    /// The run in this folder goes on.
    Resumed(PathBuf),
    /// Damaged answers in the response cache are dropped.
    CacheDamaged {
        /// How many.
        count: usize,
        /// The line of the first.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The response cache is put aside and begun anew.
    CacheSetAside(RecordError),
    /// The run goes on without the response cache.
    CacheUnusable(RecordError),
    /// Not all answers are in the response cache.
    CacheIncomplete(RecordError),
    /// Old answers left the response cache, to keep it within its bound.
    CachePruned {
        /// How many bytes they took.
        bytes: u64,
    },
    /// The response cache is not kept within its bound.
    CacheUnbounded(RecordError),
}

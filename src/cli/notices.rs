//! What sessions and task files report besides their results.

use indicatif::HumanBytes;

use super::output::{note, say};
use crate::session::Notice;
use crate::task::TaskIndex;

/// Warns of what is odd about the task files. Called once what is asked for is found: an error about it comes first.
pub fn say_task_notes(index: &TaskIndex) {
    for note in index.notes() {
        say!("warning: {note}");
    }
}

/// Prints a notice.
pub fn say_notice(notice: Notice) {
    match notice {
        Notice::TokenizerLarger { tokens, rows } => say!(
            "warning: the tokenizer has {tokens} tokens, the model's embedding {rows} rows; a request beyond them is an error"
        ),
        Notice::OtherTokenizer(what) | Notice::SpecialTokensDiffer(what) => say!("warning: {what}"),
        Notice::NoWeights(folder) => say!(
            "warning: {}: the model's weights are not there, or not all of them; a run needs them",
            folder.display()
        ),
        Notice::FolderBusy(folder) => {
            note!("note: another process is doing this same run in {}", folder.display());
        }
        Notice::RecordDropped(journal) => {
            note!("note: the last record of {} was cut short and is dropped", journal.display());
        }
        Notice::Resumed(folder) => note!("going on with the run in {}", folder.display()),
        Notice::CacheDamaged { count, line, what } => note!(
            "warning: {count} damaged answers in the response cache are dropped, the first in line {line}: {what}"
        ),
        Notice::CacheSetAside(error) => {
            note!("warning: the response cache is put aside and begun anew: {error}");
        }
        Notice::CacheUnusable(error) => note!("warning: going on without the response cache: {error}"),
        Notice::CacheIncomplete(error) => {
            note!("warning: not all answers are in the response cache: {error}");
        }
        Notice::CachePruned { bytes } => {
            note!("note: {} of old answers left the response cache (--cache-size)", HumanBytes(bytes));
        }
        Notice::CacheUnbounded(error) => {
            note!("warning: the response cache is not kept within its bound: {error}");
        }
    }
}

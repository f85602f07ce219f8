//! What sessions and task files report besides their results.

use indicatif::HumanBytes;

use super::output::{note, say};
use crate::session::Notice;
use crate::task::{Selection, TaskIndex};

/// Warns of what is odd about the task files. Called once what is asked for is found: an error about it comes first.
pub fn say_task_notes(index: &TaskIndex) {
    for note in index.notes() {
        say!("warning: {note}");
    }
}

/// Tells those who typed a line of lm_eval that its names of tasks mean the leaderboard's here.
pub fn say_whose_tasks(selection: &Selection, index: &TaskIndex) {
    let names: Vec<&str> =
        selection.tasks.iter().filter(|task| !task.included).map(|task| task.name.as_ref()).collect();
    let named = match names.as_slice() {
        [] => return,
        [one] => one.to_string(),
        [one, other] => format!("{one} and {other}"),
        [one, more @ ..] => format!("{one} and {} more", more.len()),
    };
    let (is, these) =
        if names.len() == 1 { ("is a task", "this name") } else { ("are tasks", "these names") };
    let suite = index.suites().first().map_or("the leaderboard", |suite| suite.title.as_str());
    note!(
        "note: {named} {is} of {suite} here, with its prompts and few-shot examples; lm_eval's files of {these} give other numbers, and run with --include FOLDER"
    );
}

/// Prints a notice.
pub fn say_notice(notice: Notice) {
    match notice {
        Notice::TokenizerLarger { tokens, rows } => say!(
            "warning: the tokenizer has {tokens} tokens, the model's embedding {rows} rows; a request beyond them is an error"
        ),
        Notice::OtherTokenizer(what) | Notice::SpecialTokensDiffer(what) => say!("warning: {what}"),
        Notice::TokenizerNote(what) => say!("note: {what}"),
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

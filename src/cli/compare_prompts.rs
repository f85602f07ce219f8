//! The prompts of documents that flipped, rebuilt from the datasets: runs do not store them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::findings::{given_or, one_line};
use crate::compare::Flip;
use crate::dataset::DatasetStore;
use crate::prompt::{self, PromptOptions};
use crate::store::RecordedRun;
use crate::task::TaskIndex;

/// Fills in missing prompts as the run in `folder` used them, from the datasets in `datasets` or where that
/// run found them. Returns what could not be built, with the reason.
pub fn fill(
    folder: &Path,
    datasets: Option<&Path>,
    index: &TaskIndex,
    flips: &mut [Flip],
) -> BTreeMap<String, String> {
    let mut missing = BTreeMap::new();
    let mut by_task: BTreeMap<String, Vec<&mut Flip>> = BTreeMap::new();
    for flip in flips.iter_mut().filter(|flip| flip.prompt.is_none()) {
        by_task.entry(flip.task.clone()).or_default().push(flip);
    }
    let Ok(run) = RecordedRun::open(folder) else { return missing };
    let root = given_or(datasets, run.text(&["datasets_folder"]));
    let store = match open(root) {
        Ok(store) => store,
        Err(why) => {
            missing.insert(folder.display().to_string(), why);
            return missing;
        }
    };
    let options = run.prompt_options();
    for (name, flips) in by_task {
        if let Err(why) = fill_task(&name, index, &store, &options, &run, flips) {
            missing.insert(name, why);
        }
    }
    missing
}

fn open(root: Option<PathBuf>) -> Result<DatasetStore, String> {
    if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
        return Err(format!("{} is not there; give its new place with --datasets", root.display()));
    }
    let store = DatasetStore::new(root).map(|store| store.allowing_changes(true));
    store.map_err(|error| one_line(&error))
}

fn fill_task(
    name: &str,
    index: &TaskIndex,
    store: &DatasetStore,
    options: &PromptOptions,
    run: &RecordedRun,
    flips: Vec<&mut Flip>,
) -> Result<(), String> {
    let recorded = run.get(&["tasks", name, "task_files_blake3"]).as_str().unwrap_or_default();
    let task = index.recorded(name, recorded).map_err(|error| one_line(&error))?;
    let Some(task) = task else { return Err("it is a group here".into()) };
    if recorded != task.fingerprint.to_string() {
        return Err("the task file is another than the run's".into());
    }
    let built = prompt::build(&task, store, options).map_err(|error| one_line(&error))?;
    for (place, (_, split)) in built.splits.iter().enumerate() {
        let recorded = &run.get(&["tasks", name, "datasets"])[place]["content_blake3"];
        if recorded.as_str() != Some(split.content.to_string().as_str()) {
            return Err("the datasets are others than the run's; give their place with --datasets".into());
        }
    }
    let documents: HashMap<usize, _> = built.documents.iter().map(|d| (d.doc_id, d)).collect();
    for flip in flips {
        let Some(document) = documents.get(&flip.doc_id) else { continue };
        let contexts: Vec<&str> = document.requests.iter().map(|request| request.context()).collect();
        flip.prompt = contexts.split_first().map(|(first, rest)| shared(first, rest).to_string());
    }
    Ok(())
}

/// The common beginning of all contexts of a document, up to a word boundary: some contexts contain the
/// choice.
fn shared<'a>(first: &'a str, rest: &[&str]) -> &'a str {
    let mut end = first.len();
    for other in rest.iter().filter(|other| **other != first) {
        let same = first.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8());
        let same: usize = same.sum();
        let word = first[..same].rfind(char::is_whitespace).map_or(0, |at| at + 1);
        end = end.min(word);
    }
    if end < first.len() { first[..end].trim_end() } else { first }
}

//! The runs that a comparison names, from any source: run folders, files of other harnesses, rows of
//! published scores.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::findings::{given_or, one_line};
use crate::dataset::DatasetStore;
use crate::prompt::{self, PromptOptions};
use crate::store::{
    ForeignRun, RecordedRun, RequestsByTask, compared_foreign, is_foreign, published_run, published_spec,
    read_foreign,
};
use crate::task::{Task, TaskIndex};
use crate::vocabulary::{ComparedRun, TaskLimits};

/// What a run's argument names.
enum Named<'a> {
    Own(&'a Path),
    Outside(&'a Path, ForeignRun),
    Published(&'a str, &'a str),
}

/// Reads all runs; `own` reads a folder of ours. Documents of other harnesses are matched with those of the
/// first run of ours, whose prompts are rebuilt from the datasets in `datasets` or where that run found them.
pub fn read_runs(
    typed: &[&Path],
    index: &TaskIndex,
    datasets: Option<&Path>,
    own: &dyn Fn(&Path) -> Result<ComparedRun, Failure>,
) -> Result<Vec<ComparedRun>, Failure> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut named = Vec::with_capacity(typed.len());
    for path in typed {
        named.push(if is_foreign(path) {
            if tasks.is_empty() {
                let names: Vec<String> = index.tasks().map(|(name, _)| name.to_string()).collect();
                tasks = index.select(&names)?.tasks.into_iter().map(Task::with_views).collect();
            }
            Named::Outside(path, read_foreign(path, &tasks)?)
        } else {
            match path.to_str().and_then(published_spec) {
                Some((file, model)) => Named::Published(file, model),
                None => Named::Own(path),
            }
        });
    }
    let ours = named.iter().find_map(|one| match one {
        Named::Own(path) => Some(*path),
        _ => None,
    });
    let asked = match ours {
        Some(folder) => {
            let of_others = named.iter().filter_map(|one| match one {
                Named::Outside(_, run) => Some(run),
                _ => None,
            });
            Some(asked(folder, of_others, &tasks, datasets)?)
        }
        None => None,
    };
    let mut runs = Vec::with_capacity(named.len());
    for one in named {
        runs.push(match one {
            Named::Own(path) => own(path)?,
            Named::Outside(path, run) => {
                compared_foreign(run, &path.display().to_string(), &tasks, asked.as_ref())?
            }
            Named::Published(file, model) => {
                let suite = index.suites().first().ok_or_else(|| {
                    Failure::bad_input(
                        "no suite is declared, whose columns published scores have",
                        "restore the suite's file in the working folder's `tasks`",
                    )
                })?;
                let store = DatasetStore::new(None)?;
                published_run(file, model, suite, index, store.manifests())?
            }
        });
    }
    Ok(runs)
}

/// The requests of the run in `folder` for all documents of the tasks that others have too, whatever its
/// limit.
fn asked<'a>(
    folder: &Path,
    others: impl Iterator<Item = &'a ForeignRun>,
    tasks: &[Task],
    datasets: Option<&Path>,
) -> Result<RequestsByTask, Failure> {
    let mut asked = RequestsByTask::new();
    let names: Vec<&str> = others.flat_map(|run| &run.tasks).map(|task| task.name.as_str()).collect();
    if names.is_empty() {
        return Ok(asked);
    }
    let run = RecordedRun::open(folder)?;
    let fault = |task: &str, why: String| {
        Failure::bad_input(
            format!("{}: what it was asked in {task} cannot be built again: {why}", folder.display()),
            "documents of other harnesses are known by it: give the datasets of that run with --datasets",
        )
    };
    let shared = tasks.iter().filter(|task| names.iter().any(|name| task.is_known_as(name)));
    let shared: Vec<&Task> = shared.filter(|task| run.tasks().any(|(name, _)| *name == *task.name)).collect();
    let first = shared.first().map_or("", |task| &*task.name);
    let root = given_or(datasets, run.text(&["datasets_folder"]));
    let store = store(root).map_err(|why| fault(first, why))?;
    let options = PromptOptions { limits: TaskLimits::Whole, ..run.prompt_options() };
    for task in shared {
        let name = &*task.name;
        let recorded = |keys: &[&str]| run.text(&[&["tasks", name], keys].concat()).map(str::to_string);
        if recorded(&["task_files_blake3"]) != Some(task.fingerprint.to_string()) {
            return Err(fault(name, "the task file is another than the run's".into()));
        }
        let built = prompt::build(task, &store, &options).map_err(|error| fault(name, one_line(&error)))?;
        for (place, (split, read)) in built.splits.iter().enumerate() {
            let known = &run.get(&["tasks", name, "datasets"])[place]["content_blake3"];
            if known.as_str() != Some(read.content.to_string().as_str()) {
                return Err(fault(name, format!("the rows of `{split}` are others than the run's")));
            }
        }
        asked.insert(name.to_string(), built.documents);
    }
    Ok(asked)
}

fn store(root: Option<PathBuf>) -> Result<DatasetStore, String> {
    if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
        return Err(format!("{} is not there", root.display()));
    }
    DatasetStore::new(root).map(|store| store.allowing_changes(true)).map_err(|error| one_line(&error))
}

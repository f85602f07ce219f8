//! Runs by name: `--results`, and what a name stands for.

use std::path::{Component, Path, PathBuf};

use clap::Args;
use rayon::prelude::*;

use super::failure::Failure;
use super::output::say;
use crate::session::{ModelSource, RESULTS};
use crate::store::{ListedRun, RunState, is_foreign, listed_runs, published_spec};
use crate::task::closest;

/// Where runs are.
#[derive(Debug, Args)]
pub struct ResultsArgument {
    /// Folder of runs
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    pub results: PathBuf,
}

impl ResultsArgument {
    /// The runs with their files checked, the newest first; where there is no such folder, the default one is said to be missing, and another is an error.
    pub fn list(&self) -> Result<Vec<ListedRun>, Failure> {
        self.check()?;
        Ok(listed_runs(&self.results).into_par_iter().map(ListedRun::checked).collect())
    }

    /// Says that there is no folder of runs, or refuses one that was asked for by name.
    pub fn check(&self) -> Result<(), Failure> {
        const HINT: &str = "`assay eval` writes runs to `results` in the folder where it is started; --results DIR names another";
        let shown = self.results.display();
        if self.results.is_dir() {
            return Ok(());
        }
        if self.results == Path::new(RESULTS) {
            say!("note: no runs: there is no folder `{shown}` here; {HINT}");
            return Ok(());
        }
        Err(Failure::bad_input(format!("{shown}: no such folder of runs"), HINT))
    }

    /// The folder of the run that a path or a name stands for. A path that exists wins, unless it is no run and a name is meant.
    pub fn find(&self, typed: &Path) -> Result<PathBuf, Failure> {
        let is_run = ["run.json", "journal"].iter().any(|file| typed.join(file).exists());
        if is_run || typed.is_file() || is_foreign(typed) {
            return Ok(typed.to_path_buf());
        }
        let mut parts = typed.components();
        let (Some(name), Some(Component::Normal(_)), None) = (typed.to_str(), parts.next(), parts.next())
        else {
            return Ok(typed.to_path_buf());
        };
        if published_spec(name).is_some() {
            return Ok(typed.to_path_buf());
        }
        let all = listed_runs(&self.results);
        let called = |run: &&ListedRun| {
            let folder = run.path.file_name().is_some_and(|folder| folder == name);
            run.name == name || run.model == name || folder
        };
        // A run's own name says more than that of its model.
        let own: Vec<&ListedRun> = all.iter().filter(|run| run.name == name).collect();
        let named = if own.is_empty() { all.iter().filter(called).collect() } else { own };
        let finished = named.iter().find(|run| run.state == RunState::Finished);
        match finished.or(named.first()) {
            Some(run) => {
                let others: Vec<_> = named.iter().filter(|other| other.identity != run.identity).collect();
                if !others.is_empty() {
                    let path = run.path.display();
                    let newest = if finished.is_some() { "newest finished" } else { "newest" };
                    let weights = |run: &ListedRun| run.identity["model"]["weights"].clone();
                    let other_weights = others.iter().any(|other| weights(other) != weights(run));
                    let of_others = if other_weights { ", which are of different weights" } else { "" };
                    say!(
                        "note: `{name}` is {path}, the {newest} of the {} runs of that name{of_others}",
                        others.len() + 1
                    );
                }
                // The newest is the first.
                if let Some(newer) = named.first().filter(|newer| newer.path != run.path)
                    && let Some(advice) = newer.state.advice()
                {
                    say!(
                        "note: {}, a newer run of that name, is not finished: {advice}",
                        newer.path.display()
                    );
                }
                Ok(run.path.clone())
            }
            // Where there is no run at all, a path is meant.
            None if typed.exists() || all.is_empty() => Ok(typed.to_path_buf()),
            None => {
                let names: Vec<&str> = all.iter().map(|run| run.name.as_str()).collect();
                let hint = match closest(name, names.into_iter()) {
                    Some(near) => format!("did you mean `{near}`? `assay runs` lists all"),
                    None => "`assay runs` lists runs by name; --results DIR says where they are".to_string(),
                };
                let shown = self.results.display();
                Err(Failure::bad_input(
                    format!("{name}: no such run: neither a folder nor the name of a run in {shown}"),
                    hint,
                ))
            }
        }
    }
}

/// Longest name of a run that is given, in characters.
const LONGEST: usize = 100;

/// The name of a new run: the one that is given, or its model's.
pub fn new_name(given: Option<&str>, source: &ModelSource) -> Result<String, Failure> {
    let Some(name) = given else { return Ok(source.name.clone()) };
    let length = name.chars().count();
    let refused = if name.trim().is_empty() {
        "it is empty".to_string()
    } else if length > LONGEST {
        format!("it has {length} characters, expected at most {LONGEST}")
    } else if let Some(odd) = name.chars().find(|c| "/\\".contains(*c) || c.is_control()) {
        format!("it has {odd:?}, and folders are named after it")
    } else if name.starts_with(['.', '-']) || name.trim() != name {
        "it begins with `.` or `-`, or has white space around it".to_string()
    } else {
        return Ok(name.to_string());
    };
    let shown: String = name.chars().take(40).collect();
    Err(Failure::bad_input(
        format!("--name `{shown}`: no name of a run: {refused}"),
        "give a short name without slashes, such as --name merge-1",
    ))
}

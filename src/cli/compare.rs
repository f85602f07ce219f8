//! `assay compare`: whether a merge is better than its parents.

use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::compare_prompts;
use super::failure::{self, Failure};
use super::foreign_runs::read_runs;
use super::notices::say_task_notes;
use super::output::{say, write_stdout};
use super::run_names::ResultsArgument;
use super::screen::{format_of, paper};
use crate::compare::{Allowances, Comparison, MergeBy, SuiteColumn, Verdict, compare, merge_of};
use crate::report::{self, Format};
use crate::store::{Detail, RecordedRun, compared_folder};
use crate::task::TaskIndex;
use crate::vocabulary::ComparedRun;

/// `assay compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Runs of a merge and of its parents, by name or folder: the merge first, unless --merge or the recipe in its model's folder
    /// says which it is. Also lm-evaluation-harness's results_*.json with samples_*.jsonl beside it, its old *_write_out_info.json,
    /// or a folder of either; or published.csv:MODEL
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Which of the runs is the merge; it may be among the others, or not
    #[arg(long, value_name = "RUN")]
    pub merge: Option<PathBuf>,
    #[command(flatten)]
    pub results: ResultsArgument,
    /// How to write the comparison [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<CompareFormat>,
    /// Compare the documents that all the runs have, where some have more
    #[arg(long)]
    pub common: bool,
    /// Go on where number format, device, kernels or code were not the same: rounding alone may then decide documents
    #[arg(long)]
    pub allow_other_numerics: bool,
    /// List the documents that the merge and a parent do not both have right or both wrong
    #[arg(long)]
    pub flips: bool,
    /// Exit with code 1 if a verdict, or the average's, is this
    #[arg(long, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,
    /// Seed of the random numbers of permutation tests and the bootstrap
    #[arg(long, value_name = "N", default_value = "1234")]
    pub seed: u64,
    /// For the prompts of --flips, and to find documents of other harnesses: where the datasets are now; where the run found them
    /// without it
    #[arg(long, value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// Where task files of your own are now (repeatable)
    #[arg(long, value_name = "DIR")]
    pub include: Vec<PathBuf>,
}

/// `--format` of `assay compare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CompareFormat {
    #[default]
    Table,
    Markdown,
    Json,
}

/// `--fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Worse,
}

/// More parents than any merge has.
const MOST_PARENTS: usize = 16;

/// Prints the comparison.
pub fn run(arguments: &CompareArguments) -> Result<ExitCode, Failure> {
    let format = format_of(arguments.format, CompareFormat::Json)?;
    let (found, asked) = named_runs(arguments)?;
    let mut folders: Vec<&Path> = found.iter().map(PathBuf::as_path).collect();
    if folders.len() < 2 {
        return Err(Failure::bad_input(
            "there is one run, and nothing to compare it with",
            "give a merge and its parents",
        ));
    }
    if folders.len() > 1 + MOST_PARENTS {
        return Err(Failure::bad_input(
            format!("{} parents, expected at most {MOST_PARENTS}", folders.len() - 1),
            "compare the merge with some of them at a time",
        ));
    }
    check_distinct(&folders)?;
    let detail = if arguments.flips { Detail::Answers } else { Detail::Scores };
    let index = TaskIndex::load(&arguments.include)?;
    say_task_notes(&index);
    let own = |folder: &Path| Ok(compared_folder(folder, detail)?);
    let mut runs = read_runs(&folders, &index, arguments.datasets.as_deref(), &own)?;
    let (merge, merge_by) = merge_of(&runs, asked, is_sorted(&arguments.runs))?;
    runs[..=merge].rotate_right(1);
    folders[..=merge].rotate_right(1);
    disambiguate_names(&mut runs);
    let suite = suite_of(&index, folders[0])?;
    let allowances = Allowances { common: arguments.common, other_numerics: arguments.allow_other_numerics };
    let mut comparison = compare(&runs, merge_by, &suite, allowances, arguments.seed)?;
    if arguments.flips {
        for (source, why) in
            compare_prompts::fill(folders[0], arguments.datasets.as_deref(), &index, &mut comparison.flips)
        {
            comparison.notes.push(format!("{source}: no prompts: {why}"));
        }
    }
    for twin in runs[1..].iter().filter(|run| !run.weights.is_empty() && run.weights == runs[0].weights) {
        say!(
            "warning: {} and {} are runs of the same weights: nothing of a merge can show between them",
            runs[0].name,
            twin.name
        );
    }
    for note in &comparison.notes {
        say!("note: {note}");
    }
    if merge > 0 && merge_by == MergeBy::Recipe {
        say!(
            "note: {} is the merge, by the recipe in its model's folder; it was not given first",
            comparison.merge
        );
    }
    write_stdout(&match format {
        CompareFormat::Json => format!("{:#}\n", report::comparison_json(&comparison, arguments.flips)),
        CompareFormat::Table => report::comparison(&comparison, arguments.flips, Format::Table, paper()),
        CompareFormat::Markdown => {
            report::comparison(&comparison, arguments.flips, Format::Markdown, paper())
        }
    })?;
    let fails = arguments.fail_on == Some(FailOn::Worse) && is_worse(&comparison);
    Ok(if fails { ExitCode::from(failure::NO) } else { ExitCode::SUCCESS })
}

/// The folders of the runs, and the place of the one that `--merge` names.
fn named_runs(arguments: &CompareArguments) -> Result<(Vec<PathBuf>, Option<usize>), Failure> {
    let find = |typed: &PathBuf| arguments.results.find(typed);
    let mut found = arguments.runs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let Some(merge) = &arguments.merge else { return Ok((found, None)) };
    let merge = find(merge)?;
    let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    match found.iter().position(|run| place(run) == place(&merge)) {
        Some(at) => Ok((found, Some(at))),
        None => {
            found.insert(0, merge);
            Ok((found, Some(0)))
        }
    }
}

/// Whether runs were given as a shell's pattern gives them: paths in the order of their names. Their order says nothing then.
fn is_sorted(typed: &[PathBuf]) -> bool {
    typed.is_sorted() && typed.iter().all(|path| path.components().count() > 1)
}

fn is_worse(comparison: &Comparison) -> bool {
    let rows = comparison
        .parents
        .iter()
        .flat_map(|parent| parent.rows.iter().chain(&parent.average).chain(parent.partial()));
    rows.into_iter().any(|row| row.verdict == Some(Verdict::Worse))
}

/// Rejects a run compared with itself: that it has no differences would look like a result.
fn check_distinct(folders: &[&Path]) -> Result<(), Failure> {
    let mut seen: Vec<(PathBuf, Option<String>)> = Vec::new();
    for folder in folders {
        let place = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let seal = RecordedRun::open(folder).ok().and_then(|run| run.text(&["seal"]).map(str::to_string));
        let before =
            seen.iter().position(|(path, known)| *path == place || (known.is_some() && *known == seal));
        if let Some(before) = before {
            return Err(Failure::bad_input(
                format!("{} and {} are the same run", folders[before].display(), folder.display()),
                "give the merge's run first, then another run for each parent",
            ));
        }
        seen.push((place, seal));
    }
    Ok(())
}

/// Names models of the same name after the places of their runs.
fn disambiguate_names(runs: &mut [ComparedRun]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for run in runs {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = run.source.clone();
        }
    }
}

/// The columns of the suite that the merge was run with, or else of the first suite.
fn suite_of(index: &TaskIndex, merge: &Path) -> Result<Vec<SuiteColumn>, Failure> {
    let recorded = RecordedRun::open(merge).ok();
    let name = recorded.as_ref().and_then(|run| run.text(&["identity", "suite"]));
    let named = index.suites().iter().find(|suite| Some(suite.name.as_str()) == name);
    let Some(suite) = named.or_else(|| index.suites().first()) else { return Ok(Vec::new()) };
    let mut columns = Vec::new();
    for column in &suite.columns {
        columns.push(SuiteColumn {
            name: column.name.clone(),
            tasks: column.tasks.clone(),
            members: index.members(&column.tasks, 0)?,
            metric: column.metric.clone(),
        });
    }
    Ok(columns)
}

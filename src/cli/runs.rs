//! `assay runs`: the runs of a folder, whatever their state.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::failure::Failure;
use super::leaderboard::FormatArgument;
use super::output::write_stdout;
use super::run_names::ResultsArgument;
use super::screen::{format_of, paper};
use crate::report::{Cell, Format, Table, wrapped};
use crate::store::{ListedRun, RunState};

/// `assay runs`.
#[derive(Debug, Args)]
pub struct RunsArguments {
    #[command(flatten)]
    pub results: ResultsArgument,
    /// List each of the finished runs of the same model, tasks and settings, not only the newest
    #[arg(long)]
    pub all: bool,
    /// How to write the list; JSON and CSV list all runs [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatArgument>,
}

/// Prints the list, the newest run first.
pub fn run(arguments: &RunsArguments) -> Result<ExitCode, Failure> {
    let format = Format::from(format_of(arguments.format, FormatArgument::Json)?);
    let runs = arguments.results.list()?;
    let text = match format {
        Format::Json => format!("{:#}", Value::Array(runs.iter().map(as_json).collect())),
        Format::Csv => table(runs.iter().map(|run| (run, 1)), |tasks| tasks.join(", ")).render(format),
        Format::Table | Format::Markdown => {
            let listed =
                if arguments.all { runs.iter().map(|run| (run, 1)).collect() } else { grouped(&runs) };
            let mut parts = vec![table(listed.into_iter(), few).render_on(format, paper(), &[])];
            for run in &runs {
                parts.extend(advice(run));
            }
            if runs.is_empty() {
                format!("no runs in {}", arguments.results.results.display())
            } else {
                parts.join("\n\n")
            }
        }
    };
    write_stdout(&(text + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What there is to know or to do about a run: what is wrong, and below it what to do, which is not broken into lines since it may be a
/// command.
fn advice(run: &ListedRun) -> Option<String> {
    let (what, hint) = match &run.state {
        RunState::Finished => return None,
        RunState::Running => ("another process is working on it".to_string(), None),
        RunState::Unfinished { how, hint } => (how.clone(), Some(hint)),
        RunState::Damaged { what, hint } => (what.clone(), Some(hint)),
    };
    let place = run.path.display().to_string();
    // A fault of a file begins with its path.
    let what = if what.starts_with(&place) { what } else { format!("{place}: {what}") };
    let what = match paper().width {
        Some(width) => wrapped(&what, width).join("\n"),
        None => what,
    };
    Some(hint.map_or(what.clone(), |hint| format!("{what}\n  {hint}")))
}

/// Each run with the number of runs that it stands for.
fn grouped(runs: &[ListedRun]) -> Vec<(&ListedRun, usize)> {
    let mut groups: Vec<(&ListedRun, usize)> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|(kept, _)| kept.repeats(run)) {
            Some((_, count)) => *count += 1,
            None => groups.push((run, 1)),
        }
    }
    groups
}

fn table<'a>(runs: impl Iterator<Item = (&'a ListedRun, usize)>, tasks: fn(&[String]) -> String) -> Table {
    let head = ["Name", "Model", "Tasks", "Limit", "When", "State", "Runs", "Folder"];
    let rows = runs.map(|(run, count)| {
        vec![
            Cell::Text(run.name.clone()),
            Cell::Text(run.model.clone()),
            Cell::Text(tasks(&run.tasks)),
            Cell::Text(limit(&run.limit)),
            Cell::Text(run.started.replace('T', " ").trim_end_matches('Z').to_string()),
            Cell::Text(run.state.word().into()),
            Cell::Count(count as u64),
            Cell::Text(run.path.display().to_string()),
        ]
    });
    Table { head: head.map(str::to_string).to_vec(), rows: rows.collect() }
}

/// The first tasks of many.
fn few(tasks: &[String]) -> String {
    match tasks {
        [first, second, _, more @ ..] if !more.is_empty() => {
            format!("{first}, {second} and {} more", more.len() + 1)
        }
        few => few.join(", "),
    }
}

fn limit(limit: &Value) -> String {
    match limit {
        Value::Null => "none".into(),
        Value::Object(limits) => {
            let limits: Vec<String> = limits.iter().map(|(task, limit)| format!("{task}={limit}")).collect();
            if limits.len() > 3 { "by task".into() } else { limits.join(",") }
        }
        number => number.to_string(),
    }
}

fn as_json(run: &ListedRun) -> Value {
    json!({
        "name": run.name,
        "model": run.model,
        "tasks": run.tasks,
        "limit": run.limit,
        "started": run.started,
        "state": run.state.word(),
        "advice": run.state.advice(),
        "folder": run.path.display().to_string(),
    })
}

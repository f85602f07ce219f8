//! `assay leaderboard`: published scores and complete runs, by average.

use clap::{Args, ValueEnum};
use std::process::ExitCode;

use super::failure::Failure;
use super::output::{note, say, write_stdout};
use super::run_names::ResultsArgument;
use super::screen::{format_of, paper};
use crate::report::{self, Format, Table};
use crate::store::{listed_runs, past_runs, published};
use crate::task::TaskIndex;

/// `assay leaderboard`.
#[derive(Debug, Args)]
pub struct LeaderboardArguments {
    #[command(flatten)]
    pub results: ResultsArgument,
    /// How to write the table [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatArgument>,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FormatArgument {
    #[default]
    Table,
    Markdown,
    Csv,
    Json,
}

impl From<FormatArgument> for Format {
    fn from(argument: FormatArgument) -> Self {
        match argument {
            FormatArgument::Table => Format::Table,
            FormatArgument::Markdown => Format::Markdown,
            FormatArgument::Csv => Format::Csv,
            FormatArgument::Json => Format::Json,
        }
    }
}

/// Prints the table.
pub fn run(arguments: &LeaderboardArguments) -> Result<ExitCode, Failure> {
    let format = Format::from(format_of(arguments.format, FormatArgument::Json)?);
    let index = TaskIndex::load(&[])?;
    let suite = index.suites().first().ok_or_else(|| {
        Failure::bad_input("no suite is declared", "restore the suite's file in the working folder's `tasks`")
    })?;
    let columns: Vec<String> = suite.columns.iter().map(|column| column.name.clone()).collect();
    arguments.results.check()?;
    let mut lines = published(&columns)?;
    if arguments.results.results.is_dir() && listed_runs(&arguments.results.results).is_empty() {
        say!("note: no runs in {}: these are published scores alone", arguments.results.results.display());
    }
    for run in past_runs(&arguments.results.results, &suite.name, &columns) {
        match run {
            Ok(line) => {
                if !line.repeated.is_empty() {
                    let name = line.name.as_ref().unwrap_or(&line.model);
                    let count = line.repeated.len();
                    note!(
                        "note: {name}: {} is shown; {count} older runs of the same model, tasks and settings are not",
                        line.source
                    );
                }
                lines.push(line);
            }
            Err(error) => say!("warning: {error}; it is left out"),
        }
    }
    let (ranked, apart) = report::leaderboard(&columns, lines);
    // Names say more than models, where there are both.
    let has_names = ranked.head.first().is_some_and(|name| name == "Name");
    let dispensable: &[&str] = if has_names { &["Model"] } else { &[] };
    let drawn = |table: &Table| table.render_on(format, paper(), dispensable);
    let text = match format {
        // Programs get one list: rows that are not ranked come last, without an average and with the reason.
        Format::Json | Format::Csv => ranked.followed_by(apart).render(format),
        _ if apart.rows.is_empty() => drawn(&ranked),
        _ => format!("{}\n\nNot ranked:\n\n{}", drawn(&ranked), drawn(&apart)),
    };
    write_stdout(&(text + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

//! The edge: arguments, one file a subcommand, progress, exit codes. The only room that prints.

mod announce;
mod arguments;
mod cache;
mod compare;
mod compare_prompts;
mod datasets;
mod destination;
mod eval;
mod failure;
mod findings;
mod foreign_runs;
mod kept_answers;
mod leaderboard;
mod limit;
mod memory;
mod model_files;
mod output;
mod pins;
mod plan;
mod progress;
mod requests;
mod tasks;
mod usage;
mod verify;
mod verify_against;
mod verify_inputs;
mod verify_record;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use arguments::{Arguments, Command};
use failure::Failure;

/// Runs the command line. Exit codes are listed in [`failure`] and in the README.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let typed: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match Arguments::try_parse_from(&typed) {
        Ok(parsed) => parsed,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let failure = Failure::bad_input("no command given", "`assay --help` shows the commands");
            return failure.report();
        }
        Err(error) => return Failure::of_arguments(&error).report(),
    };
    let command_line = typed.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let outcome = match parsed.command {
        Command::Eval(arguments) => eval::run(&arguments, command_line),
        Command::Requests(arguments) => requests::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Tasks(arguments) => tasks::run(&arguments),
        Command::Datasets(arguments) => datasets::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Cache(arguments) => cache::run(&arguments),
        Command::Leaderboard(arguments) => leaderboard::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

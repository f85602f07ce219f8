//! The command line: arguments, one file per subcommand, progress, exit codes. The only room that prints.

mod announce;
mod arguments;
mod cache;
mod chat;
mod compare;
mod compare_prompts;
mod datasets;
mod eval;
mod eval_arguments;
mod failure;
mod findings;
mod forecast;
mod foreign_runs;
mod hidden_labels;
mod interrupt;
mod leaderboard;
mod limit;
mod lm_eval;
mod lm_eval_flags;
mod lm_eval_model;
mod lm_eval_values;
mod model_arguments;
mod notices;
mod output;
mod pins;
mod plan;
mod preparing;
mod progress;
mod requests;
mod run_names;
mod runs;
mod screen;
mod task_page;
mod tasks;
mod verify;
mod verify_against;
mod verify_inputs;
mod verify_record;

use std::ffi::OsString;
use std::process::ExitCode;
#[cfg(unix)]
use std::sync::{Arc, atomic::AtomicBool};

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::Failure;
use output::note;
use screen::{ColorArgument, ScreenArguments};

/// Said where the flags of a run are listed.
const LM_EVAL: &str =
    "The flags of `lm_eval run` 0.4.13 are understood too, with underscores or hyphens: docs/from-lm-eval.md";

/// Scores local language models on the benchmarks of the Open LLM Leaderboard (v1), exactly.
#[derive(Debug, Parser)]
#[command(name = "assay", version, about, max_term_width = 110)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten, next_help_heading = "What is shown")]
    pub screen: ScreenArguments,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Score a model on tasks
    #[command(visible_alias = "run", after_help = LM_EVAL)]
    Eval(eval_arguments::EvalArguments),
    /// Print every request as JSON lines, without a model
    Requests(requests::RequestsArguments),
    /// Say what a run would take: requests, tokens, time and memory, without reading weights
    Plan(plan::PlanArguments),
    /// List tasks, or show one with its first prompt
    Tasks(tasks::TasksArguments),
    /// Check all datasets against their pins; exit code 1 if one differs
    Datasets(datasets::DatasetsArguments),
    /// Check a run against its record, or list the differences between two runs
    Verify(verify::VerifyArguments),
    /// Say whether a merge is better than its parents, on the documents that both answered
    Compare(compare::CompareArguments),
    /// List runs: name, model, tasks, limit, time and state
    Runs(runs::RunsArguments),
    /// Show or prune the answers kept across runs
    Cache(cache::CacheArguments),
    /// Show published scores and the runs under results/
    Leaderboard(leaderboard::LeaderboardArguments),
}

impl Command {
    /// Whether it writes JSON where `--json` asks for it.
    fn has_json(&self) -> bool {
        match self {
            Command::Tasks(_) => false,
            Command::Cache(arguments) => arguments.command.is_none(),
            _ => true,
        }
    }
}

/// Runs the command line. Exit codes are listed in [`failure`] and in the README.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    write_errors_are_errors();
    let typed: Vec<OsString> = arguments.into_iter().collect();
    // Errors of parsing are shown too, before `--color` is parsed with the rest.
    let translated = match lm_eval::translate(&typed, &has_flag) {
        Ok(translated) => translated,
        Err(failure) => {
            let color = ColorArgument::typed(&typed);
            screen::set(&ScreenArguments { color, ..ScreenArguments::default() });
            return failure.report();
        }
    };
    let color = ColorArgument::typed(&translated.words);
    let parsed = match parse(&translated.words, color) {
        Ok(parsed) => parsed,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            screen::set(&ScreenArguments { color, ..ScreenArguments::default() });
            let failure = Failure::bad_input("no command given", "`assay --help` shows the commands");
            return failure.report();
        }
        Err(error) => {
            screen::set(&ScreenArguments { color, ..ScreenArguments::default() });
            let failure = Failure::of_arguments(&error);
            let more = translated.config.map(|file| format!("flags that were not typed come from {file}"));
            return more.into_iter().fold(failure, Failure::and_hint).report();
        }
    };
    screen::set(&parsed.screen);
    if !translated.dropped.is_empty() {
        note!("note: {}", translated.dropped.join("; "));
    }
    if parsed.screen.json && !parsed.command.has_json() {
        let failure = Failure::bad_input(
            "--json: this command writes text only",
            "leave --json out; `assay requests` writes a task's prompts as JSON lines",
        );
        return failure.report();
    }
    let command_line = typed.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let outcome = match parsed.command {
        Command::Eval(arguments) => eval::run(&arguments, command_line, translated.is_foreign),
        Command::Requests(arguments) => requests::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Tasks(arguments) => tasks::run(&arguments),
        Command::Datasets(arguments) => datasets::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Runs(arguments) => runs::run(&arguments),
        Command::Cache(arguments) => cache::run(&arguments),
        Command::Leaderboard(arguments) => leaderboard::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Makes a write beyond the largest size that files may have (`ulimit -f`) fail as any other write: by default, it ends the process.
fn write_errors_are_errors() {
    #[cfg(unix)]
    {
        let seen = Arc::new(AtomicBool::new(false));
        if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen) {
            note!("note: a file that grows beyond `ulimit -f` will end the process: {error}");
        }
    }
}

/// Whether a command has a flag of this name.
fn has_flag(command: &str, flag: &str) -> bool {
    let all = Arguments::command();
    let own = all.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
    own.chain(all.get_arguments()).any(|argument| argument.get_long() == Some(flag))
}

/// Parses the arguments; help is in colours where stdout has them.
fn parse(typed: &[OsString], color: ColorArgument) -> Result<Arguments, clap::Error> {
    let [in_color, _] = color.streams();
    let choice = if in_color { ColorChoice::Always } else { ColorChoice::Never };
    Arguments::from_arg_matches(&Arguments::command().color(choice).try_get_matches_from(typed)?)
}

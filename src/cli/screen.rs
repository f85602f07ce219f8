//! What people and scripts see of a command: how much, in which colours, how wide, and as what.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use miette::Diagnostic;
use thiserror::Error;

use crate::report::Paper;

/// Options of every command.
#[derive(Debug, Default, Args)]
pub struct ScreenArguments {
    /// No progress and no notes: errors, and warnings that change what the numbers mean
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: files that are read, phases and their times, each task of a family
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Write JSON to stdout, the same as --format json
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours: auto is on where a terminal shows them, and obeys NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorArgument,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorArgument {
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorArgument {
    /// Finds `--color` before the arguments are parsed: errors of parsing and help have colours too.
    pub fn typed(arguments: &[OsString]) -> Self {
        let mut found = Self::Auto;
        let mut words = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
        while let Some(word) = words.next() {
            let value = match word.strip_prefix("--color") {
                Some("") => words.next(),
                Some(rest) => rest.strip_prefix('=').map(|value| value.to_string().into()),
                None => None,
            };
            found = value.and_then(|value| Self::from_str(&value, false).ok()).unwrap_or(found);
        }
        found
    }

    /// Whether a stream has colours.
    fn is_on(self, terminal: bool, environment: &dyn Fn(&str) -> Option<OsString>) -> bool {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        match self {
            ColorArgument::Always => true,
            ColorArgument::Never => false,
            ColorArgument::Auto if set("NO_COLOR").is_some() => false,
            ColorArgument::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            ColorArgument::Auto => {
                let refused = set("CLICOLOR").is_some_and(|value| value == "0");
                terminal && !refused && environment("TERM").as_deref() != Some(OsStr::new("dumb"))
            }
        }
    }

    /// Whether stdout and stderr have colours.
    pub fn streams(self) -> [bool; 2] {
        let environment = |name: &str| env::var_os(name);
        [std::io::stdout().is_terminal(), std::io::stderr().is_terminal()]
            .map(|terminal| self.is_on(terminal, &environment))
    }
}

/// The settings of this process.
#[derive(Debug, Default)]
struct Screen {
    quiet: bool,
    verbose: bool,
    json: bool,
    paper: Paper,
    /// Whether messages have colours.
    messages_in_color: bool,
}

/// Set once, by the command line.
static SCREEN: OnceLock<Screen> = OnceLock::new();

fn screen() -> &'static Screen {
    SCREEN.get_or_init(Screen::default)
}

/// Sets what was asked for. Only the first call counts.
pub fn set(arguments: &ScreenArguments) {
    let [color, messages_in_color] = arguments.color.streams();
    let ScreenArguments { quiet, verbose, json, .. } = *arguments;
    let paper = Paper { width: width(), color };
    let _ = SCREEN.set(Screen { quiet, verbose, json, paper, messages_in_color });
}

/// The columns of the terminal that stdout is, or what `COLUMNS` says; elsewhere there is no bound, so what is piped is always the
/// same.
fn width() -> Option<usize> {
    let typed = env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let typed = typed.filter(|columns: &usize| *columns > 0);
    typed.or_else(|| terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into()))
}

/// Columns from which on a bar has room for numbers beside it.
const WIDE: usize = 72;

/// A bar on the terminal that stderr is, in one of two shapes by its width; `None` where nobody watches.
pub fn progress_bar(wide: &str, narrow: &str) -> Option<ProgressBar> {
    if is_quiet() || !std::io::stderr().is_terminal() {
        return None;
    }
    let columns = terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0));
    let style = if columns.is_none_or(|columns| columns >= WIDE) { wide } else { narrow };
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(500));
    Some(bar)
}

/// Whether notes and progress are left out.
pub fn is_quiet() -> bool {
    screen().quiet
}

/// Whether details are asked for.
pub fn is_verbose() -> bool {
    screen().verbose
}

/// Whether `--json` was given.
pub fn wants_json() -> bool {
    screen().json
}

/// What stdout is.
pub fn paper() -> Paper {
    screen().paper
}

/// `--json` beside another `--format`.
#[derive(Debug, Error, Diagnostic)]
#[error("--json and --format name two formats, expected one")]
#[diagnostic(code(assay::input), help("leave one of them out"))]
pub struct TwoFormats;

/// The format to write: `--format`, JSON by `--json`, or the default.
///
/// # Errors
/// Both are given, and differ.
pub fn format_of<F: Copy + PartialEq + Default>(typed: Option<F>, json: F) -> Result<F, TwoFormats> {
    match typed {
        Some(typed) if wants_json() && typed != json => Err(TwoFormats),
        Some(typed) => Ok(typed),
        None if wants_json() => Ok(json),
        None => Ok(F::default()),
    }
}

/// A message as it is shown: the word that it begins with says what it is, in colours where they are on.
pub fn shown_message(message: &str) -> String {
    if !screen().messages_in_color {
        return message.to_string();
    }
    let kinds = [("error: ", "1;31"), ("warning: ", "1;33"), ("hint: ", "1;36"), ("note: ", "1")];
    for (kind, color) in kinds {
        if let Some(rest) = message.strip_prefix(kind) {
            return format!("\x1b[{color}m{}\x1b[0m {rest}", kind.trim_end());
        }
    }
    message.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_flag_then_the_environment_then_the_terminal() {
        let is_on = |argument: ColorArgument, terminal: bool, set: &[(&str, &str)]| {
            argument.is_on(terminal, &|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        use ColorArgument::{Always, Auto, Never};
        assert!(is_on(Auto, true, &[]) && !is_on(Auto, false, &[]));
        assert!(is_on(Always, false, &[("NO_COLOR", "1")]));
        assert!(!is_on(Never, true, &[("CLICOLOR_FORCE", "1")]));
        assert!(!is_on(Auto, true, &[("NO_COLOR", "0")]), "any text but the empty one");
        assert!(is_on(Auto, true, &[("NO_COLOR", "")]));
        assert!(!is_on(Auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(is_on(Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!is_on(Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!is_on(Auto, true, &[("CLICOLOR", "0")]) && !is_on(Auto, true, &[("TERM", "dumb")]));
    }

    #[test]
    fn the_flag_is_found_before_parsing() {
        let typed = |words: &[&str]| {
            ColorArgument::typed(&words.iter().map(|word| OsString::from(*word)).collect::<Vec<_>>())
        };
        assert_eq!(typed(&["assay", "x", "--color", "never", "y"]), ColorArgument::Never);
        assert_eq!(typed(&["assay", "--color=always"]), ColorArgument::Always);
        assert_eq!(typed(&["assay", "--color", "red"]), ColorArgument::Auto);
        assert_eq!(typed(&["assay", "--", "--color=always"]), ColorArgument::Auto);
    }
}

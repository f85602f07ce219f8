//! Where text goes: data to stdout, everything else to stderr.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use miette::Diagnostic;
use thiserror::Error;

use super::screen;

/// Writes a line to stderr: errors, warnings that change what the numbers mean, and how a run ended.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::write_message(&format!($($words)*)) };
}
pub(super) use say;

/// Writes a line to stderr that `--quiet` leaves out: notes, and warnings that concern time or disk space alone.
macro_rules! note {
    ($($words:tt)*) => {
        if !$crate::cli::screen::is_quiet() {
            $crate::cli::output::write_message(&format!($($words)*));
        }
    };
}
pub(super) use note;

/// Writes a line to stderr that only `--verbose` shows.
macro_rules! detail {
    ($($words:tt)*) => {
        if $crate::cli::screen::is_verbose() {
            $crate::cli::output::write_message(&format!($($words)*));
        }
    };
}
pub(super) use detail;

/// The bar on the terminal now, if there is one: lines go above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Makes messages go above a bar from now on, or none.
pub fn share_terminal(bar: Option<&ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar.cloned();
}

/// Writes a line to stderr. A terminal or a log that is gone must not end a run of days, so failures are ignored.
pub fn write_message(message: &str) {
    let write = || {
        let _ = writeln!(io::stderr(), "{}", screen::shown_message(message));
    };
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes data to stdout. A closed pipe is no error: its reader, such as `head`, has what it wants.
pub fn write_stdout(text: &str) -> Result<(), StdoutError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(StdoutError(error)),
    }
}

/// Data could not be written to stdout.
#[derive(Debug, Error, Diagnostic)]
#[error("stdout: cannot be written: {0}")]
#[diagnostic(code(assay::input), help("check where the output goes, and that the disk is not full"))]
pub struct StdoutError(io::Error);

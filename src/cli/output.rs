//! Where text goes: data to stdout, everything else to stderr.

use std::io::{self, Write};

use miette::Diagnostic;
use thiserror::Error;

/// Writes a line to stderr. A terminal or a log that is gone must not end a run of days, so failures are
/// ignored.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
pub(super) use say;

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

//! Parse, run, print what went wrong and what to do, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    assay::cli::main(std::env::args_os())
}

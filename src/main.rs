//! Parse, run, print the error and its hint, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    assay::cli::main(std::env::args_os())
}

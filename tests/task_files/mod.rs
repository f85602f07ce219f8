//! Task files that were not written for `assay`: the same results as lm-evaluation-harness, and errors for
//! the rest.
//!
//! `tests/fixtures/task_files/make_expected.py` generated the expected values, with the harness's own code.

mod chat;
mod errors;
mod requests;
mod templates;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A path among the fixtures.
fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/task_files").join(path)
}

/// A fixture's JSON.
fn read_json(path: &str) -> Value {
    let text = std::fs::read_to_string(fixture(path)).expect("the fixture is there");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

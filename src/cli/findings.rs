//! What a verification finds.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde_json::Value;

use crate::store::{differences, shown};

/// The result of one check.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is as recorded.
    Same,
    /// It differs: how.
    Differs(String),
    /// It differs between two runs, and this is what they are compared for: another model, and what follows from it.
    Point(String),
    /// It could not be checked: why.
    Unchecked(String),
}

/// A check.
pub struct Finding {
    /// What was checked.
    pub what: String,
    /// Of which task or file, where it is one of several.
    pub of: Option<String>,
    pub verdict: Verdict,
}

impl Finding {
    /// What was checked, and of what.
    pub fn name(&self) -> String {
        match &self.of {
            Some(of) => format!("{} of {of}", self.what),
            None => self.what.clone(),
        }
    }
}

/// The findings so far.
#[derive(Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds a check.
    pub fn add(&mut self, what: impl Into<String>, verdict: Verdict) {
        self.0.push(Finding { what: what.into(), of: None, verdict });
    }

    /// Adds a check of one of several.
    pub fn add_of(&mut self, what: &str, of: impl Into<String>, verdict: Verdict) {
        self.0.push(Finding { what: what.into(), of: Some(of.into()), verdict });
    }

    /// Adds a check of a hash of one of several.
    pub fn hash_of(&mut self, what: &str, of: impl Into<String>, recorded: &str, found: &str) {
        self.add_of(what, of, same_hash(recorded, found));
    }

    /// Adds a check of a hash.
    pub fn hash(&mut self, what: impl Into<String>, recorded: &str, found: &str) {
        self.add(what, same_hash(recorded, found));
    }

    /// Adds a comparison of values.
    pub fn same(&mut self, what: &str, recorded: &Value, found: &Value) {
        self.add(what, same_values(recorded, found));
    }

    /// Adds a comparison of values of one of several.
    pub fn same_of(&mut self, what: &str, of: impl Into<String>, recorded: &Value, found: &Value) {
        self.add_of(what, of, same_values(recorded, found));
    }

    /// The first check that differs, as a message.
    pub fn first_difference(&self) -> Option<String> {
        self.0.iter().find_map(|finding| match &finding.verdict {
            Verdict::Differs(how) => Some(format!("{}: {how}", finding.name())),
            _ => None,
        })
    }

    /// The number of findings whose verdict satisfies `of`.
    pub fn count(&self, of: fn(&Verdict) -> bool) -> usize {
        self.0.iter().filter(|finding| of(&finding.verdict)).count()
    }
}

fn same_hash(recorded: &str, found: &str) -> Verdict {
    same_or(recorded == found, || format!("recorded {recorded}, found {found}"))
}

/// The first difference, if there is one.
fn same_values(recorded: &Value, found: &Value) -> Verdict {
    match differences(recorded, found).first() {
        None => Verdict::Same,
        Some(difference) => {
            let (left, right) = (shown(difference.left.as_ref()), shown(difference.right.as_ref()));
            let path = if difference.path.is_empty() { "it" } else { difference.path.as_str() };
            Verdict::Differs(format!("{path} is {left} in the record, found {right}"))
        }
    }
}

/// The verdict of a comparison; `how` says how it differs.
pub fn same_or(same: bool, how: impl FnOnce() -> String) -> Verdict {
    if same { Verdict::Same } else { Verdict::Differs(how()) }
}

/// An error in one line, with its hint.
pub fn one_line(error: &dyn Diagnostic) -> String {
    match error.help() {
        Some(help) => format!("{error} ({help})"),
        None => error.to_string(),
    }
}

/// A path that the user gives now, or the one that was recorded.
pub fn given_or<'a>(given: Option<&'a Path>, recorded: Option<&'a str>) -> Option<PathBuf> {
    given.map(Path::to_path_buf).or_else(|| recorded.map(PathBuf::from))
}

//! The warning that a dataset hides its right answers.

use super::output::say;
use crate::prompt::TaskRequests;

/// Warns of tasks whose documents have labels below 0.
pub fn warn<'a>(tasks: impl IntoIterator<Item = (&'a str, &'a TaskRequests)>) {
    let hidden: Vec<String> = tasks
        .into_iter()
        .filter(|(_, requests)| requests.hidden_labels > 0)
        .map(|(name, requests)| {
            format!("{name} ({} of {})", requests.hidden_labels, requests.documents.len())
        })
        .collect();
    if !hidden.is_empty() {
        say!(
            "warning: labels below 0 hide the right answer, and no choice counts as right, as in lm-evaluation-harness: {}",
            hidden.join(", ")
        );
    }
}

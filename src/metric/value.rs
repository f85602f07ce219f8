//! The result of a metric for a document.

use crate::vocabulary::Decision;

/// A document's value and, if it is a decision, how narrow that was.
pub type Value = (f64, Option<Decision>);

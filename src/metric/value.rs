//! What a metric makes of a document.

use crate::vocabulary::Decision;

/// A document's value and, where it is a decision, how narrowly it was taken.
pub type Value = (f64, Option<Decision>);

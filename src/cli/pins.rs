//! What is printed about splits that are not known to be the hub's.

use std::collections::HashSet;

use super::output::say;
use crate::vocabulary::{Pin, SplitRecord};

/// Warns about splits with other rows than the hub's, and notes those without a pin; each once.
pub fn announce(splits: impl IntoIterator<Item = SplitRecord>) {
    let mut said = HashSet::new();
    for split in splits {
        let SplitRecord { id, config, split, rows, content, pin, .. } = split;
        let name = format!("`{split}` of {id} ({})", config.as_deref().unwrap_or("default"));
        let fresh = said.insert(name.clone());
        match pin {
            _ if !fresh => {}
            Pin::Changed { expected, rows: theirs } => say!(
                "warning: {name} has {rows} rows with the hash {content}, the hub's {theirs} with {expected}: a run over them is \
                 not ranked"
            ),
            Pin::Unpinned { reason, rows: theirs } if rows == theirs => {
                say!("note: {name} is not pinned, only its rows are counted: {reason}");
            }
            Pin::Unpinned { rows: theirs, .. } => {
                say!("warning: {name} has {rows} rows, the hub's {theirs}: a run over them is not ranked");
            }
            Pin::Own => say!(
                "note: {name} is checked against a manifest of the working folder, in the place of assay's own: a run over it is not ranked"
            ),
            Pin::Same | Pin::Unknown | Pin::Sample => {}
        }
    }
}

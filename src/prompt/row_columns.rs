//! Rows as templates see them.

use crate::task::{Columns, Task};
use crate::vocabulary::{self, Row};

/// A row as templates see it: the task's constants, overridden by the row's own columns.
pub fn columns(task: &Task, row: &Row) -> Columns {
    let mut all = vocabulary::row(task.constants.clone());
    for (name, value) in row {
        all.insert(name.clone(), value.clone());
    }
    Columns::new(all)
}

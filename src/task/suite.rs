//! A suite: the tasks behind the columns of a table.

use super::fields::{Fields, SchemaError, wrong};
use super::yaml_value::{Node, Place, Yaml};

/// A column of a suite's table: the unweighted mean of one metric over some tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// As the table's heading shows it.
    pub name: String,
    /// A task's name, or a tag that several tasks share.
    pub tasks: String,
    /// The metric's reported name.
    pub metric: String,
    /// Where the column is declared.
    pub place: Place,
}

/// A named table over several tasks. Its average is the unweighted mean of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    pub name: String,
    /// Other names that `--tasks` takes.
    pub aliases: Vec<String>,
    /// The name shown above the table.
    pub title: String,
    /// The columns, in order.
    pub columns: Vec<Column>,
}

/// Reads a suite's file.
///
/// # Errors
/// Unknown or missing keys.
pub fn read_suite(node: Node) -> Result<Suite, SchemaError> {
    let mut fields = Fields::new(node, "a suite file")?;
    let name = fields.required_text("suite", "my_suite")?;
    let aliases = fields.texts("aliases")?.unwrap_or_default();
    let title = fields.text("title")?.unwrap_or_else(|| name.clone());
    fields.ignore("source");
    let place = fields.place().clone();
    let list = fields.take("columns").ok_or(SchemaError::MissingKey {
        place,
        what: "a suite file",
        key: "columns",
        example: "[{name: ARC, tasks: arc, metric: acc}]",
    })?;
    fields.finish()?;
    let Yaml::List(entries) = list.yaml else { return Err(wrong(&list, "columns", "a list")) };
    let mut columns = Vec::new();
    for entry in entries {
        let place = entry.place.clone();
        let mut entry = Fields::new(entry, "a column")?;
        columns.push(Column {
            name: entry.required_text("name", "ARC")?,
            tasks: entry.required_text("tasks", "a task or a tag")?,
            metric: entry.required_text("metric", "acc")?,
            place,
        });
        entry.finish()?;
    }
    Ok(Suite { name, aliases, title, columns })
}

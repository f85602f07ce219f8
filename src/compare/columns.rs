//! Which tasks share a row.

use std::collections::HashSet;

use super::align::Aligned;

/// A column of a suite, with the names of its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteColumn {
    /// As the table's header shows it.
    pub name: String,
    /// As `--tasks` takes it: a task or a tag.
    pub tasks: String,
    pub members: Vec<String>,
    pub metric: String,
}

/// Tasks whose scores make one score, as their unweighted mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    pub name: String,
    /// The metric that a suite names; `None` for the tasks' first one.
    pub metric: Option<&'a str>,
    pub tasks: Vec<&'a Aligned>,
    /// The index of the suite's column, if this is a column with all of its documents.
    pub column: Option<usize>,
}

/// Groups the tasks that the first run and all of `others` have: complete columns under the column's name,
/// columns with all tasks but not all documents under the name of their tasks, and every other task under its
/// own name.
pub fn groups<'a>(tasks: &'a [Aligned], suite: &'a [SuiteColumn], others: &[usize]) -> Vec<Group<'a>> {
    let shared: Vec<&Aligned> = tasks
        .iter()
        .filter(|task| others.iter().all(|run| task.places.get(*run).is_some_and(Option::is_some)))
        .collect();
    let mut grouped: HashSet<&str> = HashSet::new();
    let mut groups = Vec::new();
    for (place, column) in suite.iter().enumerate() {
        let members: Vec<&Aligned> = column
            .members
            .iter()
            .filter_map(|name| shared.iter().find(|task| task.task == *name).copied())
            .collect();
        grouped.extend(members.iter().map(|task| task.task.as_str()));
        let metric = Some(column.metric.as_str());
        if members.len() < column.members.len() {
            groups.extend(members.into_iter().map(|task| Group {
                name: task.task.clone(),
                metric,
                tasks: vec![task],
                column: None,
            }));
        } else if members.iter().all(|task| task.whole) {
            groups.push(Group { name: column.name.clone(), metric, tasks: members, column: Some(place) });
        } else {
            groups.push(Group { name: column.tasks.clone(), metric, tasks: members, column: None });
        }
    }
    let others = shared.into_iter().filter(|task| !grouped.contains(task.task.as_str()));
    groups.extend(others.map(|task| Group {
        name: task.task.clone(),
        metric: None,
        tasks: vec![task],
        column: None,
    }));
    groups
}

//! Names that other harnesses use for a task and its metrics, so that their results can be read.

use serde_json::{Map, Value};

use super::fields::{Fields, SchemaError, list_of, text_of, wrong};
use super::schema::{KnownAs, Task};
use super::template::{Columns, Template};
use super::yaml_value::{Node, Yaml};
use crate::vocabulary::row;

impl Task {
    /// Metric names, theirs and ours, if another harness's task `name` with the stops `until` is this task.
    /// `None` if it is another task.
    pub fn metrics_known_as(&self, name: &str, until: Option<&[String]>) -> Option<Vec<(String, String)>> {
        let fits = |known: &&KnownAs| {
            let stops = known.until.as_deref();
            known.task == name && (stops.is_none() || until.is_none() || stops == until)
        };
        if let Some(known) = self.known_as.iter().find(fits) {
            return Some(known.metrics.clone());
        }
        let same = *self.name == *name && !self.known_as.iter().any(|known| known.task == name);
        same.then(|| self.metrics.iter().map(|metric| (metric.name.clone(), metric.name.clone())).collect())
    }

    /// Whether another harness uses `name` for this task, whatever its stops.
    pub fn is_known_as(&self, name: &str) -> bool {
        *self.name == *name || self.known_as.iter().any(|known| known.task == name)
    }
}

/// Reads `known_as`.
///
/// # Errors
/// Unknown keys, values of the wrong kind.
pub fn read_known_as(node: Node, constants: &Map<String, Value>) -> Result<Vec<KnownAs>, SchemaError> {
    // A task read from a run's record has no constants, and is not looked up by other names.
    let columns = (!constants.is_empty()).then(|| Columns::new(row(constants.clone())));
    let mut all = Vec::new();
    for node in list_of(node, "known_as")? {
        let mut entry = Fields::new(node, "an entry of known_as")?;
        let place = entry.place().clone();
        let task = entry.required_text("task", "their_name")?;
        let task = match &columns {
            Some(columns) => Template::new(&task, &place, false)?.render(columns)?,
            None => task,
        };
        let mut metrics = Vec::new();
        if let Some(node) = entry.take("metrics") {
            let Yaml::Map(entries) = &node.yaml else {
                return Err(wrong(&node, "metrics", "a mapping of their names to ours"));
            };
            for (key, ours) in entries {
                metrics.push((key.name.clone(), text_of(ours, "metrics")?));
            }
        }
        let until = entry.texts("until")?;
        entry.finish()?;
        all.push(KnownAs { task, metrics, until });
    }
    Ok(all)
}

//! Views: readings of a task's generated texts beyond the stops at which the task truncates them.

use super::fields::{Fields, SchemaError, list_of, wrong};
use super::read_metrics::{read_metric, read_steps};
use super::schema::{FilterChain, MetricConfig, Reads, Task, Views};
use super::yaml_value::{Node, Place, Yaml};
use crate::vocabulary::PassedStops;

impl Task {
    /// The task with its generations continued past their stops and read both ways; unchanged if its file
    /// declares no `views`.
    #[must_use]
    pub fn with_views(mut self) -> Self {
        if let Some(views) = self.views.take() {
            self.generation.beyond = Some(views.until);
            self.metrics.extend(views.metrics);
        }
        self
    }

    /// The stops past which generation continues, and the metrics that read the text up to and beyond them.
    pub fn passed(&self) -> Option<PassedStops> {
        let beyond = self.generation.beyond.as_ref()?;
        let stops = self.generation.until.iter().filter(|stop| !beyond.contains(stop)).cloned().collect();
        let up_to = self.metrics.iter().find(|metric| matches!(metric.reads, Reads::UpToStop))?.name.clone();
        let reads = |metric: &MetricConfig| match metric.reads {
            Reads::UpToStop => None,
            Reads::Beyond => Some((metric.name.clone(), true)),
            Reads::BeyondBy(_) => Some((metric.name.clone(), false)),
        };
        Some(PassedStops { stops, up_to, beyond: self.metrics.iter().filter_map(reads).collect() })
    }
}

/// Reads `views` of a task that stops at `until` and has `metrics`.
///
/// # Errors
/// Stops that the task does not have, metrics with the name of another metric of the task.
pub fn read_views(node: Node, until: &[String], metrics: &[MetricConfig]) -> Result<Views, SchemaError> {
    let mut fields = Fields::new(node, "views")?;
    let place: Place = fields.place().clone();
    let missing =
        |key, example| SchemaError::MissingKey { place: place.clone(), what: "views", key, example };
    let stops = fields.take("until").ok_or(missing("until", "[\"Question:\"]"))?;
    let kept = match &stops.yaml {
        Yaml::List(items) => {
            items.iter().map(|item| super::fields::text_of(item, "until")).collect::<Result<Vec<_>, _>>()?
        }
        _ => vec![super::fields::text_of(&stops, "until")?],
    };
    // Only a proper subset of the task's stops lets a text continue past the others.
    if !kept.iter().all(|stop| until.contains(stop)) || kept.len() >= until.len() {
        return Err(wrong(&stops, "until", "some of the stops in `generation_kwargs.until`"));
    }
    let list =
        fields.take("metric_list").ok_or(missing("metric_list", "[{metric: exact_match, name: whole}]"))?;
    fields.finish()?;
    let mut read: Vec<MetricConfig> = Vec::new();
    for node in list_of(list, "metric_list")? {
        let at = node.clone();
        let mut entry = Fields::new(node, "an entry of views.metric_list")?;
        let reads = match entry.take("filter") {
            None => Reads::Beyond,
            Some(node) => Reads::BeyondBy(FilterChain { name: String::new(), steps: read_steps(node)? }),
        };
        let metric = MetricConfig { reads, ..read_metric(entry)? };
        if metrics.iter().chain(&read).any(|other| other.name == metric.name) {
            return Err(wrong(&at, "metric_list", "a `name` that no other metric of the task has"));
        }
        read.push(metric);
    }
    Ok(Views { until: kept, metrics: read })
}

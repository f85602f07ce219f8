//! Groups of tasks that have scores of their own.

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;

/// A metric that a group takes the mean of over its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// The metric's name without a filter chain.
    pub metric: String,
    /// The filter chains whose values count; all if missing.
    #[serde(rename = "filter_list")]
    pub filters: Option<Vec<String>>,
    /// Whether each document counts the same, rather than each task.
    pub weight_by_size: bool,
}

/// A group with scores of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    #[serde(rename = "group")]
    pub name: String,
    /// The name that tables show.
    #[serde(rename = "group_alias")]
    pub title: String,
    /// Its tasks and those of the groups in it, in order. A task in two of those groups counts twice.
    pub tasks: Vec<String>,
    #[serde(rename = "aggregate_metric_list")]
    pub aggregates: Vec<Aggregate>,
}

/// A group's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRecord {
    pub group: Group,
    /// Metric, number of tasks that have it, and the mean. `n` counts documents.
    pub scores: Vec<(String, usize, Estimate)>,
    /// What the scores leave out, a sentence each.
    pub notes: Vec<String>,
}

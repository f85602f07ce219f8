//! Scores of groups, computed from those of their tasks.

use crate::statistics::mean_of_tasks;
use crate::vocabulary::{Aggregate, Estimate, Group, GroupRecord, TaskRecord};

/// A task's estimate of one metric, and the filter chain that it is over.
pub struct Scored {
    pub metric: String,
    pub filter: String,
    pub estimate: Estimate,
}

/// The chain where a task declares none, as lm-evaluation-harness names it.
const NO_FILTER: &str = "none";

/// Splits the reported name of a metric of a task with the file `config` into metric and filter chain.
pub fn scored(name: &str, config: &serde_json::Value, estimate: Estimate) -> Scored {
    let (metric, filter) = name.split_once(',').unwrap_or_else(|| {
        let only = config["filter_list"][0]["name"].as_str();
        (name, only.unwrap_or(NO_FILTER))
    });
    Scored { metric: metric.to_string(), filter: filter.to_string(), estimate }
}

/// The groups' scores. A group of which a task is not finished has none, and a note that says so.
pub fn group_records(groups: &[Group], tasks: &[TaskRecord]) -> Vec<GroupRecord> {
    let of = |name: &str| -> Option<Vec<Scored>> {
        let task = tasks.iter().find(|task| *task.task == *name)?;
        let each = task.estimates.iter();
        (task.outcomes.len() == task.asked)
            .then(|| each.map(|(name, estimate)| scored(name, &task.config, *estimate)).collect())
    };
    groups.iter().map(|group| group_record(group, &of)).collect()
}

/// One group's scores; `of` gives those of a finished task.
pub fn group_record(group: &Group, of: &dyn Fn(&str) -> Option<Vec<Scored>>) -> GroupRecord {
    let mut record = GroupRecord { group: group.clone(), scores: Vec::new(), notes: Vec::new() };
    let mut tasks = Vec::new();
    for name in &group.tasks {
        match of(name) {
            Some(scores) => tasks.push((name, scores)),
            None => {
                record.notes =
                    vec![format!("Group {} has no score: task {name} is not finished.", group.title)];
                return record;
            }
        }
    }
    for aggregate in &group.aggregates {
        let mut filters: Vec<&str> = tasks
            .iter()
            .flat_map(|(_, scores)| scores)
            .filter(|score| counts(aggregate, score))
            .map(|score| score.filter.as_str())
            .collect();
        filters.sort_unstable();
        filters.dedup();
        if filters.is_empty() {
            record.notes.push(format!("Group {}: none of its tasks has {}.", group.title, asked(aggregate)));
        }
        for filter in &filters {
            let score = |scores: &Vec<Scored>| {
                let found = scores.iter().find(|score| counts(aggregate, score) && score.filter == *filter);
                found.map(|score| score.estimate)
            };
            let estimates: Vec<Estimate> = tasks.iter().filter_map(|(_, scores)| score(scores)).collect();
            let name = match filters.len() {
                1 => aggregate.metric.clone(),
                _ => format!("{},{filter}", aggregate.metric),
            };
            if let Some((without, _)) = tasks.iter().find(|(_, scores)| score(scores).is_none()) {
                let (title, found, all) = (&group.title, estimates.len(), tasks.len());
                record.notes.push(format!(
                    "Group {title}: {name} is over {found} of {all} tasks; {without} has none."
                ));
            }
            if let Some(mean) = mean_of_tasks(&estimates, aggregate.weight_by_size)
                && !record.scores.iter().any(|(known, ..)| *known == name)
            {
                record.scores.push((name, estimates.len(), mean));
            }
        }
    }
    record
}

fn counts(aggregate: &Aggregate, score: &Scored) -> bool {
    let chosen = aggregate.filters.as_ref().is_none_or(|filters| filters.contains(&score.filter));
    chosen && aggregate.metric == score.metric
}

fn asked(aggregate: &Aggregate) -> String {
    match &aggregate.filters {
        None => format!("the metric {}", aggregate.metric),
        Some(filters) => format!("the metric {} by the filter {}", aggregate.metric, filters.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(filters: Option<Vec<String>>) -> Group {
        let tasks = ["a", "b"].map(String::from).to_vec();
        let aggregates = vec![Aggregate { metric: "exact_match".into(), filters, weight_by_size: true }];
        Group { name: "g".into(), title: "G".into(), tasks, aggregates }
    }

    fn value(value: f64) -> Estimate {
        Estimate { value, stderr: Some(0.1), n: 10 }
    }

    fn tasks(name: &str) -> Option<Vec<Scored>> {
        let config = serde_json::json!({"filter_list": [{"name": "strict"}]});
        Some(match name {
            "a" => vec![scored("exact_match", &config, value(0.5))],
            _ => vec![
                scored("exact_match,strict", &config, value(0.25)),
                scored("exact_match,flexible", &config, value(1.0)),
            ],
        })
    }

    #[test]
    fn each_filter_has_a_score_and_tasks_without_one_are_named() {
        let record = group_record(&group(None), &tasks);
        let scores: Vec<_> =
            record.scores.iter().map(|(name, tasks, mean)| (&**name, *tasks, mean.value)).collect();
        assert_eq!(scores, [("exact_match,flexible", 1, 1.0), ("exact_match,strict", 2, 0.375)]);
        assert_eq!(record.notes, ["Group G: exact_match,flexible is over 1 of 2 tasks; a has none."]);
    }

    #[test]
    fn a_named_filter_counts_alone() {
        let record = group_record(&group(Some(vec!["strict".into()])), &tasks);
        assert_eq!(record.scores.iter().map(|(name, ..)| &**name).collect::<Vec<_>>(), ["exact_match"]);
        let record = group_record(&group(Some(vec!["none".into()])), &tasks);
        assert!(record.scores.is_empty());
        assert_eq!(
            record.notes,
            ["Group G: none of its tasks has the metric exact_match by the filter none."]
        );
    }

    #[test]
    fn an_unfinished_task_leaves_no_score() {
        let record = group_record(&group(None), &|name| tasks(name).filter(|_| name == "a"));
        assert!(record.scores.is_empty());
        assert_eq!(record.notes, ["Group G has no score: task b is not finished."]);
    }
}

//! A suite's columns, computed from its tasks.

use std::collections::HashMap;

use crate::statistics::mean;
use crate::task::{Suite, TaskError, TaskIndex};
use crate::vocabulary::{Pin, SAMPLE_MODEL, SuiteRecord, TaskLimits, TaskRecord};

/// Other reasons for which a run may not be ranked.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// `--limit`, by task.
    pub limits: TaskLimits,
    /// Whether prompts are conversations.
    pub chat_template: bool,
    /// Whether prompts begin with an instruction of the command line.
    pub system_instruction: bool,
    /// Whether the model is the built-in sample.
    pub sample_model: bool,
    /// Whether the tokenizer may be another model's.
    pub other_tokenizer: bool,
    pub interrupted: bool,
}

/// The suite's row: a column is the unweighted mean over its tasks, the average is the mean over the columns;
/// both in percent.
///
/// # Errors
/// A column that names no task.
pub fn suite_record(
    suite: &Suite,
    index: &TaskIndex,
    tasks: &[TaskRecord],
    circumstances: &Circumstances,
) -> Result<SuiteRecord, TaskError> {
    let by_name: HashMap<&str, &TaskRecord> = tasks.iter().map(|task| (&*task.task, task)).collect();
    let mut columns = Vec::new();
    let mut unranked = Vec::new();
    let mut add = |reason: String| {
        if !unranked.contains(&reason) {
            unranked.push(reason);
        }
    };
    if circumstances.sample_model {
        add(SAMPLE_MODEL.into());
    }
    if circumstances.other_tokenizer {
        add("a tokenizer that may not be the model's".into());
    }
    if circumstances.chat_template {
        add("a chat template".into());
    }
    if circumstances.system_instruction {
        add("a system instruction".into());
    }
    if circumstances.interrupted {
        add("interrupted".into());
    }
    for column in &suite.columns {
        let members = index.members(&column.tasks, 0)?;
        let scores: Vec<Option<f64>> = members
            .iter()
            .map(|name| {
                let record = by_name.get(name.as_str())?;
                let estimate = record.estimates.iter().find(|(metric, _)| *metric == column.metric);
                estimate.map(|(_, estimate)| estimate.value)
            })
            .collect();
        // Limits of tasks outside the suite do not matter.
        if members.iter().any(|name| circumstances.limits.of(name).is_some()) {
            add(circumstances.limits.to_string());
        }
        for record in members.iter().filter_map(|name| by_name.get(name.as_str())) {
            if record.included {
                add(format!("a task file of one's own for {}", record.task));
            }
            for split in &record.splits {
                let of = format!("`{}` of {}", split.split, record.task);
                match &split.pin {
                    Pin::Changed { rows, .. } | Pin::Unpinned { rows, .. } if split.rows != *rows => {
                        add(format!("{} of {rows} rows in {of}", split.rows));
                    }
                    Pin::Changed { .. } => add(format!("other rows than the hub's in {of}")),
                    Pin::Own => add(format!("a manifest of one's own for {of}")),
                    Pin::Unknown => add(format!("no pin for {of}")),
                    Pin::Same | Pin::Unpinned { .. } | Pin::Sample => {}
                }
            }
            if record.text_begin.overridden {
                add(format!("beginning-of-text token added otherwise in {}", record.task));
            }
            if record.sample {
                add("built-in sample datasets".into());
            } else if record.num_fewshot != record.declared_fewshot {
                add(format!("{} shots in {}", record.num_fewshot, column.name));
            } else if !record.is_complete() && circumstances.limits.of(&record.task).is_none() {
                add(format!("{} is not complete", column.name));
            }
        }
        let known: Option<Vec<f64>> = scores.into_iter().collect();
        columns.push((column.name.clone(), known.map(|scores| 100.0 * mean(&scores))));
    }
    let known = columns.iter().filter(|(_, score)| score.is_some()).count();
    if known < columns.len() {
        unranked.push(format!("{known} of {} columns", columns.len()));
    }
    let all: Option<Vec<f64>> = columns.iter().map(|(_, score)| *score).collect();
    Ok(SuiteRecord {
        suite: suite.name.clone(),
        title: suite.title.clone(),
        columns,
        average: all.map(|scores| mean(&scores)),
        unranked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_for_the_tasks_of_the_suite_alone() {
        let index = TaskIndex::load(&[]).unwrap();
        let [suite, ..] = index.suites() else { panic!("a built-in suite") };
        let member = index.members(&suite.columns[0].tasks, 0).unwrap().remove(0);
        let reasons = |limited: &str| {
            let limits = TaskLimits::of_tasks([
                (limited, Some(crate::vocabulary::Limit::First(3))),
                ("another", None),
            ]);
            let circumstances = Circumstances { limits, ..Circumstances::default() };
            suite_record(suite, &index, &[], &circumstances).unwrap().unranked
        };
        let missing = format!("0 of {} columns", suite.columns.len());
        assert_eq!(reasons("a_task_of_ones_own"), [missing.as_str()]);
        let limit =
            TaskLimits::of_tasks([(&*member, Some(crate::vocabulary::Limit::First(3))), ("another", None)])
                .to_string();
        assert_eq!(reasons(&member), [limit, missing]);
    }
}

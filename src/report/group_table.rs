//! The scores of groups.

use super::drawing::wrapped;
use super::paper::Paper;
use super::table::{Cell, Format, Table};
use crate::vocabulary::GroupRecord;

/// The groups' table and what it leaves out; `None` without groups.
pub fn group_table(groups: &[GroupRecord], paper: Paper) -> Option<String> {
    let head = ["Group", "Metric", "Score", "Stderr", "Documents", "Tasks"].map(str::to_string).to_vec();
    let mut rows = Vec::new();
    for record in groups {
        for (metric, tasks, mean) in &record.scores {
            rows.push(vec![
                Cell::Text(record.group.title.clone()),
                Cell::Text(metric.clone()),
                Cell::Text(format!("{:.4}", mean.value)),
                Cell::Text(mean.stderr.map_or("-".into(), |stderr| format!("{stderr:.4}"))),
                Cell::Text(mean.n.to_string()),
                Cell::Text(tasks.to_string()),
            ]);
        }
    }
    let table = (!rows.is_empty()).then(|| Table { head, rows }.render_on(Format::Table, paper, &["Tasks"]));
    let notes = groups.iter().flat_map(|record| &record.notes).map(|note| match paper.width {
        Some(width) => wrapped(note, width).join("\n"),
        None => note.clone(),
    });
    let parts: Vec<String> = table.into_iter().chain(notes).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

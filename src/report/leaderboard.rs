//! The leaderboard: complete runs and published scores by average, the others separately.

use super::table::{Cell, Table};
use crate::store::Line;

/// Ranked rows by average, best first; then those that are not ranked, with the reason and the run's folder.
///
/// Two tables, since a score of part of a benchmark must not be read among scores of the whole. Where a run has a name of its own, rows
/// begin with names.
pub fn leaderboard(columns: &[String], mut lines: Vec<Line>) -> (Table, Table) {
    lines.sort_by(|a, b| {
        b.average.unwrap_or(-1.0).total_cmp(&a.average.unwrap_or(-1.0)).then(a.model.cmp(&b.model))
    });
    let (ranked, apart): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.average.is_some());
    let has_names = ranked.iter().chain(&apart).any(|line| line.name.is_some());
    let head = |extra: &[&str]| -> Vec<String> {
        let name = Some("Name").filter(|_| has_names);
        let fixed = name.into_iter().chain(["Model", "Average"]).map(str::to_string);
        fixed.chain(columns.iter().cloned()).chain(extra.iter().map(|name| name.to_string())).collect()
    };
    let row = |line: &Line| -> Vec<Cell> {
        let name = Some(line.name.as_ref().unwrap_or(&line.model)).filter(|_| has_names);
        let mut row: Vec<Cell> = name.into_iter().chain([&line.model]).cloned().map(Cell::Text).collect();
        row.push(Cell::Score(line.average));
        row.extend(line.scores.iter().map(|score| Cell::Score(*score)));
        row
    };
    let apart_row = |line: &Line| -> Vec<Cell> {
        let mut row = row(line);
        row.push(Cell::Text(line.unranked.join("; ")));
        row.push(Cell::Text(line.source.clone()));
        row
    };
    (
        Table { head: head(&[]), rows: ranked.iter().map(row).collect() },
        Table { head: head(&["Not ranked", "Run"]), rows: apart.iter().map(apart_row).collect() },
    )
}

//! What a run would cost, as a table.

use super::table::{Cell, Table};
use crate::evaluate::Plan;

/// A row: a task, or several that are computed together.
pub struct PlanRow {
    pub name: String,
    pub plan: Plan,
    /// Expected time, as it is shown; `None` if nothing is known about it.
    pub time: Option<String>,
}

/// Columns that a narrow table goes without, the first ones first.
pub const DISPENSABLE: [&str; 5] = ["Tokens alone", "Peak KV tokens", "To write", "Documents", "Peak KV MiB"];

/// The rows; `kv_bytes` is what a token's keys and values take. Times have a column if they are known.
pub fn plan_table(rows: &[PlanRow], kv_bytes: u64) -> Table {
    let mut head = [
        "Task",
        "Documents",
        "Requests",
        "Tokens alone",
        "Tokens planned",
        "To write",
        "Peak KV tokens",
        "Peak KV MiB",
    ]
    .map(str::to_string)
    .to_vec();
    let timed = rows.iter().any(|row| row.time.is_some());
    if timed {
        head.push("About".into());
    }
    let row = |row: &PlanRow| -> Vec<Cell> {
        let plan = &row.plan;
        let counts = [
            plan.documents,
            plan.requests,
            plan.tokens_alone,
            plan.tokens_planned,
            plan.tokens_to_write,
            plan.peak_live_kv_tokens,
        ];
        let mut cells = vec![Cell::Text(row.name.clone())];
        cells.extend(counts.iter().map(|count| Cell::Count(*count as u64)));
        cells.push(Cell::Count((plan.peak_live_kv_tokens as u64).saturating_mul(kv_bytes) >> 20));
        if timed {
            cells.push(Cell::Number(row.time.clone().unwrap_or("-".into())));
        }
        cells
    };
    Table { head, rows: rows.iter().map(row).collect() }
}

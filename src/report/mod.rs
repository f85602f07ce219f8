//! Reports: tables as text, Markdown, CSV and JSON.

mod comparison;
mod comparison_json;
mod conclusion;
mod drawing;
mod family;
mod flips;
mod group_table;
mod leaderboard;
mod p_value;
mod paper;
mod plan_table;
mod rendering;
mod run_summary;
mod stops;
mod table;

pub use comparison::comparison;
pub use comparison_json::comparison_json;
pub use drawing::{labelled, wrapped};
pub use leaderboard::leaderboard;
pub use paper::Paper;
pub use plan_table::{DISPENSABLE as PLAN_DISPENSABLE, PlanRow, plan_table};
pub use run_summary::{RunSummary, row_name, run_summary};
pub use table::{Cell, Format, Table, Tone};

//! What people read: tables as text, Markdown, CSV and JSON.

mod leaderboard;
mod run_summary;
mod table;

pub use leaderboard::leaderboard;
pub use run_summary::run_summary;
pub use table::{Cell, Format, Table};

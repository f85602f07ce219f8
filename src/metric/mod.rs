//! From responses to values: filters over texts, metrics over documents, aggregates over tasks.

mod aggregation;
mod choice;
mod error;
mod filter;
mod scorer;
mod table;
mod target;
mod text;
mod value;

pub use error::MetricError;
pub use scorer::Scorer;

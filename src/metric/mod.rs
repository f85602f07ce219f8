//! From responses to values: filters over texts, metrics over documents, aggregates over tasks.

mod choice;
mod filter;
mod scorer;
mod text;

pub use scorer::{MetricError, Scorer};

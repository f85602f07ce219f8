//! `assay` scores local language models on the benchmarks of the Open LLM Leaderboard (v1), exactly.
//!
//! Data flows one way:
//!
//! ```text
//! task file -> documents -> requests -> tokens -> plan -> forward passes -> responses -> outcomes -> estimates -> run -> reports
//! ```

pub mod bounds;
pub mod builtin;
pub mod cli;
pub mod compare;
pub mod dataset;
mod disk;
pub mod engine;
pub mod evaluate;
mod kernels;
pub mod metric;
pub mod model;
pub mod prompt;
pub mod python;
pub mod report;
pub mod session;
pub mod statistics;
pub mod store;
pub mod task;
pub mod tokenizer;
pub mod vocabulary;

//! `assay` scores local language models on the benchmarks of the Open LLM Leaderboard (v1), exactly.
//!
//! Data flows one way:
//!
//! ```text
//! task file -> documents -> requests -> tokens -> plan -> forward passes -> responses -> outcomes -> estimates -> run -> reports
//! ```

pub mod model;
pub mod tokenizer;
pub mod vocabulary;

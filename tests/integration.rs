//! One integration-test binary: whole commands, goldens, invariants of the house.

mod commands;
mod engine;
mod golden;
mod house;
mod material;
mod model;
mod preparing;
mod python_re;
mod sample_model;
mod task_files;
mod tokenizer;

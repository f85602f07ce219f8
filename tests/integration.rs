//! One integration-test binary: whole commands, goldens, invariants of the house.

mod golden;
mod material;
mod model;
mod task_files;
mod tokenizer;

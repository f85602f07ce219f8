//! One integration-test binary.

mod model;
mod tokenizer;

//! One integration-test binary.

mod model;

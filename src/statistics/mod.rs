//! From values of documents to an estimate.

mod estimate;

pub use estimate::{estimate, mean, standard_error};

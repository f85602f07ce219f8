//! The line: the only room that names every stage.
//!
//! [`prepare`] goes from task files to tokens, without a model; [`evaluate`] goes from tokens to estimates.

mod plan;
mod prepare;
mod run;
mod suite;

pub use plan::{Plan, plan, plan_each};
pub use prepare::{Limits, PrepareError, Prepared, prepare, prepare_all};
pub use run::{EvaluateError, Evaluation, evaluate};
pub use suite::{Circumstances, suite_record};

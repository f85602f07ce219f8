//! The line: the only room that names every stage.
//!
//! [`prepare`] goes from task files to tokens, without a model; [`evaluate`] goes from tokens to estimates.

mod digests;
mod ledger;
mod plan;
mod prepare;
mod run;
mod suite;

pub use digests::{Digests, LightevalHashes};
pub use ledger::{Answered, Forgetful, Ledger, NotKept, RequestPlace};
pub use plan::{Plan, plan, plan_each};
pub use prepare::{Limits, PrepareError, Prepared, fit_all, prepare, prepare_all};
pub use run::{EvaluateError, Evaluation, Means, evaluate};
pub use suite::{Circumstances, suite_record};

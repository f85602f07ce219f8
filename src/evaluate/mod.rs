//! From task files to estimates. A task changes its type on the way: [`BuiltTask`] has requests in tokens,
//! [`FittedTask`] has the sequences that a model is fed, [`AnsweredTask`] has responses and outcomes.

mod answered;
mod built;
mod digests;
mod error;
mod fitted;
mod groups;
mod ledger;
mod plan;
mod run;
mod suite;

pub use answered::AnsweredTask;
pub use built::{BuiltTask, build_all};
pub use digests::{Digests, LightevalHashes};
pub use error::PrepareError;
pub use fitted::{FittedTask, fit_all};
pub use groups::{group_record, group_records, scored};
pub use ledger::{Ledger, NotStored, NullLedger};
pub use plan::{Plan, PlannedFamily, RunCosts, RunPlan, run_costs};
pub use run::{EvalContext, EvaluateError, Evaluation, evaluate};
pub use suite::{Circumstances, suite_record};

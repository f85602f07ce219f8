//! Compares two or more models over the same documents.

mod align;
mod allowances;
mod columns;
mod comparison;
mod conclusion;
mod error;
mod family;
mod flips;
mod metrics;
mod roles;
mod row;
mod rows;
mod stops;

pub use allowances::Allowances;
pub use columns::{Group, SuiteColumn};
pub use comparison::{Comparison, Parent, compare};
pub use conclusion::Conclusion;
pub use error::CompareError;
pub use family::{Counts, Family, Member, Moved};
pub use flips::{Flip, FlipSide};
pub use roles::{MergeBy, merge_of};
pub use row::{Row, Test, Verdict};
pub use stops::{StopCost, StopScores};

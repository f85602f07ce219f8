//! Compares two or more models over the same documents.

mod align;
mod allowances;
mod columns;
mod comparison;
mod error;
mod family;
mod flips;
mod metrics;
mod rows;
mod stops;

pub use allowances::Allowances;
pub use columns::{Group, SuiteColumn};
pub use comparison::{Comparison, Parent, compare};
pub use error::CompareError;
pub use family::{Counts, Family, Member, Moved};
pub use flips::{Flip, FlipSide};
pub use rows::{Row, Test, Verdict};
pub use stops::{StopCost, StopScores};

//! Estimates from the values of documents; tests and intervals of the difference of two models.

mod bootstrap;
mod combined;
mod distributions;
mod estimate;
mod holm;
mod mcnemar;
mod paired_interval;
mod permutation;
mod pooled;
mod random;
mod unpaired;

pub use bootstrap::{Bootstrapped, Stratum, bootstrap, strata_of_column};
pub use combined::{Combined, PairedStratum, Settling, paired_strata};
pub use estimate::{estimate, mean, standard_error};
pub use holm::holm;
pub use mcnemar::{detectable, mcnemar};
pub use paired_interval::{RightOrWrong, detectable_mean, mean_interval, right_or_wrong_interval};
pub use permutation::sign_flips;
pub use pooled::mean_of_tasks;
pub use random::Random;
pub use unpaired::{Count, two_shares, two_shares_detectable, two_shares_interval};

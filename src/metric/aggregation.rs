//! How the values of documents are aggregated.

use crate::statistics;
use crate::vocabulary::Estimate;

/// A way to aggregate the values of documents.
pub struct Aggregation {
    /// As task files name it.
    pub name: &'static str,
    /// The estimate over documents.
    pub estimate: fn(&[f64]) -> Estimate,
    /// Whether it is the mean over documents, by which runs can be compared document by document.
    pub is_mean: bool,
}

/// The unweighted mean.
pub static MEAN: Aggregation = Aggregation { name: "mean", estimate: statistics::estimate, is_mean: true };

/// `exp(-mean)` of loglikelihoods.
pub static PERPLEXITY: Aggregation = Aggregation { name: "perplexity", estimate: perplexity, is_mean: false };

/// All aggregations.
pub static AGGREGATIONS: [&Aggregation; 2] = [&MEAN, &PERPLEXITY];

fn perplexity(loglikelihoods: &[f64]) -> Estimate {
    let estimate = statistics::estimate(loglikelihoods);
    Estimate { value: (-estimate.value).exp(), stderr: None, ..estimate }
}

//! The words that every room speaks: plain data, no I/O, nothing of ours imported.

mod document;
mod estimate;
mod fingerprint;
mod outcome;
mod request;
mod response;

pub use document::{Document, Row};
pub use estimate::Estimate;
pub use fingerprint::Fingerprint;
pub use outcome::{Gold, Outcome};
pub use request::{DocumentRequests, Request, View};
pub use response::Response;

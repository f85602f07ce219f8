//! From rows to requests: which documents, which shots, which text.

mod build;
mod context;
mod documents;
mod error;
mod options;
mod row_columns;
mod shots;

pub use build::{TaskRequests, build};
pub use error::PromptError;
pub use options::PromptOptions;

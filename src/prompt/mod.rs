//! From rows to requests: which documents, which shots, which text.

mod build;
mod choice_numbers;
mod context;
mod documents;
mod error;
mod options;
mod right_answers;
mod room;
mod row_columns;
mod row_ref;
mod shots;
mod turns;

pub use build::{TaskRequests, build};
pub use error::PromptError;
pub use options::PromptOptions;
pub use turns::ChatOptions;

//! The types that all rooms share: plain data, no I/O, no import of another room.

mod cell;
mod compared_run;
mod document;
mod estimate;
mod event;
mod fingerprint;
mod gold;
mod group;
mod lfs_pointer;
mod merge_recipe;
mod outcome;
mod request;
mod request_id;
mod response;
mod run_record;
mod shell_words;
mod task_limits;
mod text_begin;

pub use cell::{Cell, PythonClass, PythonObject, Row, row};
pub use compared_run::{
    ADD_BOS_TOKEN, ColumnScore, ComparedDocument, ComparedMetric, ComparedRun, ComparedTask,
};
pub use document::Document;
pub use estimate::Estimate;
pub use event::{Event, Preparing};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use gold::{Gold, NO_CHOICE};
pub use group::{Aggregate, Group, GroupRecord};
pub use lfs_pointer::{FETCH_LFS, is_lfs_pointer};
pub use merge_recipe::MergeRecipe;
pub use outcome::{Decision, Measured, Outcome};
pub use request::{DocumentRequests, Request, Stops, View};
pub use request_id::RequestId;
pub use response::{Response, Written};
pub use run_record::{PassedStops, Pin, SAMPLE_MODEL, SplitRecord, SuiteRecord, TaskRecord, Truncation};
pub use shell_words::shell_words;
pub use task_limits::{Limit, TaskLimits};
pub use text_begin::{AddBosToken, EmptyContext, TextBegin, TextBeginRecord};

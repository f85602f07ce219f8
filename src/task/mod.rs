//! Tasks as files: their schema, the loader, the templates.

mod cell_value;
mod chat_functions;
mod chat_template;
mod error;
mod fields;
mod filters;
mod group;
mod includes;
mod jinja;
mod known_as;
mod loader;
mod nesting;
mod odd_files;
mod percent;
mod python_methods;
mod python_print;
mod read_metrics;
mod read_task;
mod scalar;
mod schema;
mod size_limits;
mod spelling;
mod suite;
mod template;
mod views;
mod yaml;
mod yaml_value;

pub use chat_template::{ChatTemplate, ChatTemplateError};
pub use error::TaskError;
pub use fields::{Fields, SchemaError, text_of, wrong};
pub use loader::{Selection, TaskIndex};
pub use read_task::task_of_config;
pub use schema::{
    Choices, DatasetRef, Declared, Fewshot, FilterChain, Generation, KnownAs, MetricConfig, OutputType,
    RandomOrder, Reads, Rendering, Sampler, Splits, Target, Task, Views,
};
pub use spelling::closest;
pub use suite::{Column, Suite};
pub use template::{Columns, Template, TemplateError};
pub use yaml::{Document, parse as parse_yaml, parse_document as parse_yaml_document};
pub use yaml_value::{Key, Node, Place, Yaml};

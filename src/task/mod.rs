//! Tasks as files: their schema, the loader, the templates.

mod fields;
mod filters;
mod includes;
mod jinja;
mod known_as;
mod loader;
mod nesting;
mod percent;
mod python_methods;
mod read_task;
mod scalar;
mod schema;
mod size_limits;
mod suite;
mod template;
mod views;
mod yaml;

pub use fields::{Fields, SchemaError, text_of, wrong};
pub use known_as::KnownAs;
pub use loader::{Selection, TaskError, TaskIndex};
pub use read_task::task_of_config;
pub use schema::{
    Choices, DatasetRef, Declared, Fewshot, FilterChain, Generation, MetricConfig, OutputType, RandomOrder,
    Reads, Rendering, Sampler, Splits, Target, Task,
};
pub use suite::{Column, Suite};
pub use template::{Columns, Template, TemplateError, closest};
pub use views::Views;
pub use yaml::{Key, Node, Place, Yaml, parse as parse_yaml};

//! The model: configuration, weights, forward pass, keys and values.
//!
//! A model is loaded from a Hugging Face folder or a GGUF file, and computes passes: [`Segment`]s of tokens,
//! each continuing a chain of others, whose keys and values stay in a [`KvCache`] until they are released.
//! Logits are computed only for the requested rows.

mod arch;
mod backend;
mod config;
mod cpu;
mod device;
mod error;
mod facts;
mod files;
mod kv_cache;
mod language_model;
pub mod machine;
mod model_files;
mod model_path;
mod needs;
mod options;
mod pass;
mod plain;
mod rope;
mod weights;

pub use config::architecture::Architecture;
pub use config::error::{ConfigError, GgufConfigError};
pub use config::model_config::{ModelConfig, Rope, RopeScaling};
pub use device::{DeviceChoice, DeviceError};
pub use error::LoadError;
pub use facts::ModelFacts;
pub use files::error::WeightsError;
pub use files::gguf_value::{GgufError, GgufMetadata, GgufValue};
pub use files::safetensors::{SafetensorsError, safetensors_names};
pub use files::weight_file::WeightFileError;
pub use kv_cache::{KvCache, SegmentError, SegmentId};
pub use language_model::Model;
pub use model_files::{ModelFiles, config_of, hub_snapshot, name_of};
pub use model_path::check_model_path;
pub use needs::ModelNeeds;
pub use options::{DtypeChoice, Kernels, LoadOptions};
pub use pass::{ForwardError, Row, Segment};

pub use crate::kernels::dtype::Dtype;

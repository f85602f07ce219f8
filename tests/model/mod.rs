//! The model module, through its public interface.

mod architectures;
mod configurations;
mod containers;
mod damaged_files;
pub mod fixtures;
mod foreign_keys;
mod gguf_parts;
mod random_models;
mod reference_scores;
mod segments;
pub mod small_files;

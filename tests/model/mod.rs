//! The model room, through its public contract.

mod architectures;
pub mod fixtures;
mod segments;

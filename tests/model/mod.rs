//! The model room, through its public contract.

mod architectures;
mod fixtures;
mod segments;

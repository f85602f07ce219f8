//! The CPU path: weights packed for kernels that are chosen by what the processor can do.
//!
//! What it promises: a response has the same bits whatever else is computed with it, in whatever order, on however many
//! threads. Every number of a product is a sum over rising inputs in one fixed order; nothing is summed across rows or
//! threads; attention goes by the places of a row's own chain. The plain path is the reference that it is tested against.

mod amx;
mod attention;
mod clock;
mod columns;
mod dot;
mod embedding;
#[cfg(test)]
mod every_isa;
mod forward;
mod gather;
mod inputs;
mod isa;
mod kept;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod layer;
mod linear;
mod matrix;
mod measure;
mod memory;
mod network;
mod packer;
mod packing;
mod plan;
mod product;
mod rows;
mod split;
mod team;
#[cfg(test)]
mod testing;
#[cfg(target_arch = "x86_64")]
mod tiled;
mod transpose;
mod vector;
mod wide;
mod workspace;

pub(super) use isa::Isa;
pub(super) use kept::{KeptRows, KeptShape};
pub(super) use measure::product_rate;
pub(super) use network::Network;

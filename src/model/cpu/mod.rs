//! The CPU path: weights packed for kernels that are chosen by what the processor can do.
//!
//! What it promises: a response has the same bits whatever else is computed with it, in whatever order, on however many
//! threads. Every number of a product is a sum over rising inputs in one fixed order; nothing is summed across rows or
//! threads; attention goes by the places of a row's own chain. The plain path is the reference that it is tested against.

mod clock;
mod embedding;
#[cfg(test)]
mod every_isa;
mod forward;
mod layer;
mod linear;
pub mod network;
mod packer;
mod workspace;

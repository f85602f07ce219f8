//! The CPU path: weights packed for kernels that are chosen by the processor's instruction sets.
//!
//! Guarantee: a response has the same bits whatever else is computed with it, in any order, on any number of
//! threads. Every element of a product is a sum over ascending inputs in one fixed order; nothing is summed
//! across rows or threads; attention follows the positions of a row's own chain. The path is tested against
//! the plain path.

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

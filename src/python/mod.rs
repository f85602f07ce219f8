//! What CPython does, where the reference's results depend on it: its random numbers, its idea of white space,
//! and how it writes and reads literals.

pub mod literal;
pub mod random;
pub mod regex;
pub mod text;

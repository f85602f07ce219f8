//! CPython's behaviour where the reference's results depend on it: random numbers, `str` methods, literals
//! and `re`.

pub mod literal;
pub mod random;
pub mod regex;
pub mod text;
pub mod unicode;

//! CPython's behaviour where the reference's results depend on it: random numbers, `str` methods, literals,
//! `re`, and how values print.

pub mod calendar;
pub mod decimal;
pub mod literal;
pub mod random;
pub mod regex;
pub mod text;
pub mod unicode;

//! What may differ between runs that are compared nevertheless.

/// What may differ between runs that are compared nevertheless.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Documents that only some of the runs have are left out.
    pub common: bool,
    /// Number format, device, kernels and code may differ.
    pub other_numerics: bool,
}

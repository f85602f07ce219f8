//! What may differ between runs that are compared all the same.

/// What may differ between runs that are compared all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Documents that only some of the runs have are left out.
    pub common: bool,
    /// Number format, device, kernels and code may be others.
    pub other_numerics: bool,
}

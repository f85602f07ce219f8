//! p-values as tables show them.

/// A p-value with its meaningful digits.
pub fn shown_p(p: Option<f64>) -> String {
    match p {
        None => "-".into(),
        Some(p) if p < 0.0001 => "<0.0001".into(),
        Some(p) => format!("{p:.4}"),
    }
}

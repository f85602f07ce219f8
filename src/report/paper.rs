//! What a report is written on.

/// What a report is written on: how wide it is, and whether it shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paper {
    /// In columns; `None` for no bound, as in a pipe or a file.
    pub width: Option<usize>,
    pub color: bool,
}

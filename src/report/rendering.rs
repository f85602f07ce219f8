//! A table in four output formats.

use super::drawing::{self, Look};
use super::paper::Paper;
use super::table::{Format, Table};

impl Table {
    /// The table in a format, without a bound of width and without colours, and without a line feed at its end.
    pub fn render(&self, format: Format) -> String {
        self.render_on(format, Paper::default(), &[])
    }

    /// The table in a format, without a line feed at its end. As text it fits the paper: on a narrow one columns are cut and left
    /// out, those of `dispensable` in that order, which a line below names; on a still narrower one each row is a block.
    pub fn render_on(&self, format: Format, paper: Paper, dispensable: &[&str]) -> String {
        match format {
            Format::Table => drawing::fitted(self, paper, dispensable),
            Format::Markdown => drawing::drawn(&self.escaped(), Look::Markdown, false),
            Format::Csv => self.csv(),
            Format::Json => serde_json::to_string_pretty(&self.json()).unwrap_or_default(),
        }
    }
}

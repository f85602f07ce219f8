//! A table in four output formats.

use comfy_table::{CellAlignment, ContentArrangement, presets};
use serde_json::{Map, Value};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Aligned text.
    #[default]
    Table,
    /// GitHub's Markdown.
    Markdown,
    /// Comma-separated values.
    Csv,
    /// A list of objects.
    Json,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text, left-aligned.
    Text(String),
    /// A score, right-aligned, shown with two decimals and written unrounded as JSON.
    Score(Option<f64>),
    /// A count, right-aligned.
    Count(u64),
    /// A number that is formatted already, right-aligned.
    Number(String),
}

impl Cell {
    fn is_number(&self) -> bool {
        !matches!(self, Cell::Text(_))
    }
}

/// Rows below a header.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Column names.
    pub head: Vec<String>,
    /// Rows of the header's length.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The rows of both, under the header of `other`, which is the wider one; missing cells are empty.
    pub fn followed_by(mut self, other: Table) -> Table {
        if other.rows.is_empty() {
            return self;
        }
        for row in &mut self.rows {
            row.resize(other.head.len(), Cell::Text(String::new()));
        }
        self.rows.extend(other.rows);
        Table { head: other.head, rows: self.rows }
    }

    /// The table in a format, without a line feed at its end.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.drawn(presets::NOTHING),
            Format::Markdown => self.escaped().drawn(presets::ASCII_MARKDOWN),
            Format::Csv => self.csv(),
            Format::Json => serde_json::to_string_pretty(&self.json()).unwrap_or_default(),
        }
    }

    /// Escapes text that would end a Markdown cell or row.
    fn escaped(&self) -> Table {
        let escape = |text: &String| text.replace('|', "\\|").replace('\n', " ");
        let cell = |cell: &Cell| match cell {
            Cell::Text(text) => Cell::Text(escape(text)),
            number => number.clone(),
        };
        let rows = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        Table { head: self.head.iter().map(escape).collect(), rows }
    }

    fn drawn(&self, preset: &str) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(preset).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.head.iter().enumerate().map(|(i, name)| {
            let right = self.rows.first().is_some_and(|row| row.get(i).is_some_and(Cell::is_number));
            aligned(name.clone(), right)
        }));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| aligned(shown(cell), cell.is_number())));
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_string()).collect();
        lines.join("\n")
    }

    fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let field = |cell: &Cell| match cell {
            Cell::Score(None) => String::new(),
            cell => shown(cell),
        };
        // Writing to memory does not fail.
        let _ = writer.write_record(&self.head);
        for row in &self.rows {
            let _ = writer.write_record(row.iter().map(field));
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim_end().to_string()
    }

    /// The rows as objects.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| -> Value {
            let cells = self.head.iter().zip(row).map(|(name, cell)| {
                let value = match cell {
                    Cell::Text(text) | Cell::Number(text) => Value::from(text.as_str()),
                    Cell::Score(score) => score.map_or(Value::Null, Value::from),
                    Cell::Count(count) => Value::from(*count),
                };
                (name.clone(), value)
            });
            Value::Object(cells.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }
}

fn aligned(text: String, right: bool) -> comfy_table::Cell {
    let alignment = if right { CellAlignment::Right } else { CellAlignment::Left };
    comfy_table::Cell::new(text).set_alignment(alignment)
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Score(Some(score)) => format!("{score:.2}"),
        Cell::Score(None) => "-".into(),
        Cell::Count(count) => count.to_string(),
        Cell::Number(number) => number.clone(),
    }
}

//! A table: rows of cells below a header, as data.

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
    /// Text that says that something is better or worse; it says so without colours too.
    Verdict(String, Tone),
}

/// What colour a verdict has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Better,
    Worse,
    Neither,
}

impl Cell {
    /// Whether it is right-aligned.
    pub fn is_number(&self) -> bool {
        !matches!(self, Cell::Text(_) | Cell::Verdict(..))
    }

    /// The cell as text.
    pub fn shown(&self) -> String {
        match self {
            Cell::Text(text) | Cell::Number(text) | Cell::Verdict(text, _) => text.clone(),
            Cell::Score(Some(score)) => format!("{score:.2}"),
            Cell::Score(None) => "-".into(),
            Cell::Count(count) => count.to_string(),
        }
    }

    /// Its colour.
    pub fn tone(&self) -> Tone {
        match self {
            Cell::Verdict(_, tone) => *tone,
            _ => Tone::Neither,
        }
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

    /// Escapes text that would end a Markdown cell or row.
    pub fn escaped(&self) -> Table {
        let escape = |text: &String| text.replace('|', "\\|").replace('\n', " ");
        let cell = |cell: &Cell| match cell {
            Cell::Text(text) | Cell::Verdict(text, _) => Cell::Text(escape(text)),
            number => number.clone(),
        };
        let rows = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        Table { head: self.head.iter().map(escape).collect(), rows }
    }

    /// The rows as comma-separated values.
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let field = |cell: &Cell| match cell {
            Cell::Score(None) => String::new(),
            cell => cell.shown(),
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
                    Cell::Text(text) | Cell::Number(text) | Cell::Verdict(text, _) => {
                        Value::from(text.as_str())
                    }
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

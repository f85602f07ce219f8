//! Tables as text: aligned columns, and what becomes of them where they are wider than the paper.

use tabled::builder::Builder;
use tabled::grid::util::string::get_line_width;
use tabled::settings::object::Cell as Place;
use tabled::settings::{Alignment, Color, Padding, Style};

use super::paper::Paper;
use super::table::{Table, Tone};

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Two spaces between columns.
    Wide,
    /// One space between columns.
    Narrow,
    Markdown,
}

/// Least width to which the name of a column of numbers is cut.
const LEAST_HEAD: usize = 6;

/// The table on a paper.
pub fn fitted(table: &Table, paper: Paper, dispensable: &[&str]) -> String {
    let Some(width) = paper.width else { return drawn(table, Look::Wide, paper.color) };
    for left_out in 0..=dispensable.len() {
        let names = &dispensable[..left_out];
        let rest = without(table, names);
        let cut = with_cut_heads(&rest);
        for (table, look) in [(&rest, Look::Wide), (&rest, Look::Narrow), (&cut, Look::Narrow)] {
            if width_of(&drawn(table, look, false)) <= width {
                return drawn(table, look, paper.color) + &absence(names, width);
            }
        }
    }
    blocks(table, width, paper.color)
}

/// Aligned columns.
pub fn drawn(table: &Table, look: Look, color: bool) -> String {
    let mut builder = Builder::default();
    builder.push_record(table.head.iter());
    for row in &table.rows {
        builder.push_record(row.iter().map(|cell| cell.shown()));
    }
    let mut drawing = builder.build();
    match look {
        Look::Wide => drawing.with(Style::empty()).with(Padding::new(1, 1, 0, 0)),
        Look::Narrow => drawing.with(Style::empty()).with(Padding::new(0, 1, 0, 0)),
        Look::Markdown => drawing.with(Style::markdown()).with(Padding::new(1, 1, 0, 0)),
    };
    for column in 0..table.head.len() {
        if table.rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.is_number()) {
            drawing.modify(Place::new(0, column), Alignment::right());
        }
    }
    for (number, row) in table.rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let place = Place::new(number + 1, column);
            if cell.is_number() {
                drawing.modify(place, Alignment::right());
            }
            if let Some(color) = color_of(cell.tone()).filter(|_| color) {
                drawing.modify(place, color);
            }
        }
    }
    let text = drawing.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn color_of(tone: Tone) -> Option<Color> {
    match tone {
        Tone::Better => Some(Color::FG_GREEN),
        Tone::Worse => Some(Color::FG_RED),
        Tone::Neither => None,
    }
}

fn width_of(text: &str) -> usize {
    text.lines().map(get_line_width).max().unwrap_or(0)
}

/// The table without columns of these names.
fn without(table: &Table, names: &[&str]) -> Table {
    let stays: Vec<bool> = table.head.iter().map(|name| !names.contains(&name.as_str())).collect();
    let head = table.head.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(name, _)| name.clone());
    let row = |row: &Vec<_>| {
        row.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(c, _)| Clone::clone(c)).collect()
    };
    Table { head: head.collect(), rows: table.rows.iter().map(row).collect() }
}

/// The table with the names of columns of numbers cut to the width of these.
fn with_cut_heads(table: &Table) -> Table {
    let head = table.head.iter().enumerate().map(|(column, name)| {
        let cells = || table.rows.iter().filter_map(|row| row.get(column));
        let room = cells().map(|cell| get_line_width(&cell.shown())).max().unwrap_or(0).max(LEAST_HEAD);
        if get_line_width(name) <= room || !cells().all(|cell| cell.is_number()) {
            return name.clone();
        }
        name.chars().take(room - 1).chain(['…']).collect()
    });
    Table { head: head.collect(), rows: table.rows.clone() }
}

/// The line that says which columns are left out.
fn absence(names: &[&str], width: usize) -> String {
    if names.is_empty() {
        return String::new();
    }
    let said =
        format!("(Left out for want of width: {}; a wider terminal and --json show them.)", names.join(", "));
    format!("\n{}", wrapped(&said, width).join("\n"))
}

/// Each row as lines below its first cell: for papers that hold no table.
fn blocks(table: &Table, width: usize, color: bool) -> String {
    let names = table.head.iter().skip(1);
    let indent = 2;
    let longest = names.clone().map(|name| get_line_width(name)).max().unwrap_or(0).min(width / 2);
    let room = width.saturating_sub(indent + longest + 1).max(8);
    let mut lines: Vec<String> = Vec::new();
    for row in &table.rows {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut cells = row.iter();
        lines.extend(cells.next().map(|first| wrapped(&first.shown(), width)).unwrap_or_default());
        for (name, cell) in names.clone().zip(cells) {
            let name = wrapped(name, longest);
            let value = wrapped(&cell.shown(), room);
            for line in 0..name.len().max(value.len()) {
                let part = |parts: &[String]| parts.get(line).cloned().unwrap_or_default();
                let (name, value) = (part(&name), part(&value));
                let gap = " ".repeat(longest.saturating_sub(get_line_width(&name)) + 1);
                let value = match color_of(cell.tone()).filter(|_| color) {
                    Some(color) => color.colorize(value),
                    None => value,
                };
                lines.push(format!("{:indent$}{name}{gap}{value}", "").trim_end().to_string());
            }
        }
    }
    lines.join("\n")
}

/// A text after a label, in lines of at most `width` columns, those after the first below the text's beginning.
pub fn labelled(label: &str, text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{label}{text}") };
    let indent = get_line_width(label);
    let lines = wrapped(text, width.saturating_sub(indent));
    format!("{label}{}", lines.join(&format!("\n{:indent$}", "")))
}

/// A text in lines of at most `width` columns, broken between words, and within words that are longer.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = get_line_width(word);
        let fits = column == 0 || column + 1 + length <= width;
        if !fits {
            lines.push(String::new());
            column = 0;
        }
        for (place, letter) in word.chars().enumerate() {
            let size = get_line_width(letter.encode_utf8(&mut [0; 4]));
            if place == 0 && column > 0 {
                lines.last_mut().into_iter().for_each(|line| line.push(' '));
                column += 1;
            }
            if column > 0 && column + size > width.max(1) {
                lines.push(String::new());
                column = 0;
            }
            lines.last_mut().into_iter().for_each(|line| line.push(letter));
            column += size;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::table::{Cell, Format};
    use super::*;

    fn table() -> Table {
        let text = |text: &str| Cell::Text(text.into());
        Table {
            head: ["Task", "Score", "Difference", "n", "Verdict"].map(str::to_string).to_vec(),
            rows: vec![
                vec![
                    text("one"),
                    Cell::Score(Some(1.0)),
                    Cell::Number("+1.00".into()),
                    Cell::Count(7),
                    Cell::Verdict("better".into(), Tone::Better),
                ],
                vec![
                    text("another"),
                    Cell::Score(None),
                    Cell::Number("-12.00".into()),
                    Cell::Count(1234),
                    Cell::Verdict("worse".into(), Tone::Worse),
                ],
            ],
        }
    }

    fn on(width: usize) -> String {
        table().render_on(Format::Table, Paper { width: Some(width), color: false }, &["n"])
    }

    #[test]
    fn a_table_becomes_narrower_step_by_step() {
        insta::assert_snapshot!(on(45), @r"
        Task     Score  Difference     n  Verdict
        one       1.00       +1.00     7  better
        another      -      -12.00  1234  worse
        ");
        insta::assert_snapshot!(on(38), @r"
        Task    Score Difference    n Verdict
        one      1.00      +1.00    7 better
        another     -     -12.00 1234 worse
        ");
        insta::assert_snapshot!(on(34), @r"
        Task    Score Diffe…    n Verdict
        one      1.00  +1.00    7 better
        another     - -12.00 1234 worse
        ");
        insta::assert_snapshot!(on(30), @r"
        Task    Score Diffe… Verdict
        one      1.00  +1.00 better
        another     - -12.00 worse
        (Left out for want of width:
        n; a wider terminal and --json
        show them.)
        ");
        insta::assert_snapshot!(on(24), @r"
        one
          Score      1.00
          Difference +1.00
          n          7
          Verdict    better

        another
          Score      -
          Difference -12.00
          n          1234
          Verdict    worse
        ");
        assert_eq!(table().render(Format::Table), on(1000));
    }

    #[test]
    fn no_line_is_wider_than_the_paper() {
        let mut table = table();
        table.rows[0][0] =
            Cell::Text("a name of many words, and-one-that-is-longer-than-any-line-of-this-paper".into());
        table.rows[1][0] = Cell::Text("名前名前名前名前名前名前名前名前名前".into());
        for width in 20..120 {
            let text = table.render_on(Format::Table, Paper { width: Some(width), color: false }, &["n"]);
            assert!(width_of(&text) <= width, "{width}:\n{text}");
        }
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        for width in [None, Some(30), Some(24)] {
            let plain = table().render_on(Format::Table, Paper { width, color: false }, &[]);
            let colored = table().render_on(Format::Table, Paper { width, color: true }, &[]);
            assert!(colored.contains("\u{1b}[32m") && colored.contains("\u{1b}[31m"), "{colored:?}");
            let mut stripped = colored.clone();
            for code in ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[39m"] {
                stripped = stripped.replace(code, "");
            }
            let trimmed =
                |text: &str| text.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>();
            assert_eq!(trimmed(&stripped), trimmed(&plain));
        }
    }
}

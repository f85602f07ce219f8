//! Columns as a manifest declares them, and the conversion of values to their types.
//!
//! File formats type values differently: a CSV reader reads `1` as a number, JSON has no `float32`. The
//! values of a declared column are the same whatever the file format, as far as the conversion is lossless; a
//! value that would lose something stays as it is.

use crate::vocabulary::{Cell, Row};

/// A column's type, named as the hub shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnType {
    /// `string`.
    Text,
    /// `bool`.
    Bool,
    /// `int8` to `int64`, `uint8` to `uint64`.
    Int,
    /// `float32`.
    Float32,
    /// `float64`.
    Float64,
    /// `list<..>`.
    List(Box<ColumnType>),
    /// `struct<name: .., ..>`.
    Struct(Vec<(String, ColumnType)>),
}

/// 2^53: integers below this are exact as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl ColumnType {
    /// Parses a type; `None` if it is none of these.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('<')?.strip_suffix('>');
        if let Some(item) = inside("list") {
            return Self::parse(item).map(|item| Self::List(Box::new(item)));
        }
        if let Some(fields) = inside("struct") {
            let fields = separated(fields).into_iter().map(|field| {
                let (name, kind) = field.split_once(':')?;
                Some((name.trim().to_string(), Self::parse(kind)?))
            });
            return fields.collect::<Option<Vec<_>>>().map(Self::Struct);
        }
        Some(match text {
            "string" => Self::Text,
            "bool" => Self::Bool,
            "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64" => Self::Int,
            "float32" => Self::Float32,
            "float64" => Self::Float64,
            _ => return None,
        })
    }

    fn conform(&self, value: &mut Cell) {
        let exact = match (self, &mut *value) {
            (Self::List(item), Cell::List(items)) => {
                items.iter_mut().for_each(|value| item.conform(value));
                None
            }
            (Self::Struct(fields), Cell::Struct(values)) => {
                conform_all(fields, values);
                None
            }
            (Self::Text, Cell::Int(number)) => Some(Cell::Text(number.to_string())),
            (Self::Int, Cell::Float(x)) => {
                let whole = x.abs() < EXACT && (*x as i64 as f64).to_bits() == x.to_bits();
                whole.then_some(Cell::Int(*x as i128))
            }
            (Self::Int, Cell::Text(text)) => {
                let number: Option<i64> = text.parse().ok();
                number.filter(|number| number.to_string() == *text).map(|number| Cell::Int(number.into()))
            }
            (Self::Float64, Cell::Int(n)) => whole(*n).map(Cell::Float),
            (Self::Float32, Cell::Int(n)) => whole(*n).map(|x| Cell::Float(single(x))),
            (Self::Float32, Cell::Float(x)) => Some(Cell::Float(single(*x))),
            _ => None,
        };
        if let Some(exact) = exact {
            *value = exact;
        }
    }
}

/// The whole number as a double, if that is exact.
fn whole(number: i128) -> Option<f64> {
    (number.unsigned_abs() < EXACT as u128).then_some(number as f64)
}

/// The `float32` whose shortest decimal `x` was read from, if there is one; `x` otherwise.
fn single(x: f64) -> f64 {
    let narrow = x as f32;
    match narrow.to_string().parse::<f64>() {
        Ok(shortest) if shortest == x => f64::from(narrow),
        _ => x,
    }
}

/// The parts between commas outside of brackets.
fn separated(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// The columns that a manifest declares; empty if there is no manifest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns(Vec<(String, ColumnType)>);

impl Columns {
    /// Columns with these names and types.
    pub fn new(columns: Vec<(String, ColumnType)>) -> Self {
        Self(columns)
    }

    /// Whether `name` is declared to hold text.
    pub fn is_text(&self, name: &str) -> bool {
        self.0.iter().any(|(column, kind)| column == name && *kind == ColumnType::Text)
    }

    /// Whether `name` is declared.
    pub fn declares(&self, name: &str) -> bool {
        self.0.iter().any(|(column, _)| column == name)
    }

    /// Converts all values to the declared types where that is lossless.
    pub fn conform(&self, rows: &mut [Row]) {
        rows.iter_mut().for_each(|row| conform_all(&self.0, row));
    }
}

fn conform_all(columns: &[(String, ColumnType)], values: &mut Row) {
    for (place, (name, value)) in values.iter_mut().enumerate() {
        // Most files have their columns in the declared order.
        let here = columns.get(place).filter(|(column, _)| column == name);
        if let Some((_, kind)) = here.or_else(|| columns.iter().find(|(column, _)| column == name)) {
            kind.conform(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_read() {
        let list = ColumnType::parse("struct<a: list<string>, b: struct<c: int32, d: float32>>").unwrap();
        let inner =
            ColumnType::Struct(vec![("c".into(), ColumnType::Int), ("d".into(), ColumnType::Float32)]);
        let texts = ColumnType::List(Box::new(ColumnType::Text));
        assert_eq!(list, ColumnType::Struct(vec![("a".into(), texts), ("b".into(), inner)]));
        for bad in ["", "text", "list<>", "list<string", "struct<a>", "struct<a: b>", "list<string>>"] {
            assert_eq!(ColumnType::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn values_change_type_only_where_nothing_is_lost() {
        for (kind, from, to) in [
            ("string", json!(1), json!("1")),
            ("string", json!(1.5), json!(1.5)),
            ("string", json!(true), json!(true)),
            ("string", json!(null), json!(null)),
            ("int32", json!(2.0), json!(2)),
            ("int32", json!(2.5), json!(2.5)),
            ("int32", json!(-0.0), json!(-0.0)),
            ("int64", json!(1e300), json!(1e300)),
            ("int64", json!("-7"), json!(-7)),
            ("int64", json!("07"), json!("07")),
            ("float64", json!(3), json!(3.0)),
            ("float64", json!(i64::MAX), json!(i64::MAX)),
            ("float32", json!(0.1), json!(f64::from(0.1f32))),
            ("float32", json!(f64::from(0.1f32)), json!(f64::from(0.1f32))),
            ("float32", json!(0.1234567891234), json!(0.1234567891234)),
            ("list<struct<a: int8>>", json!([{"a": 1.0}, {"b": 1.0}]), json!([{"a": 1}, {"b": 1.0}])),
        ] {
            let mut value = Cell::from(from.clone());
            ColumnType::parse(kind).unwrap().conform(&mut value);
            assert_eq!(format!("{value:?}"), format!("{:?}", Cell::from(to)), "{kind} {from}");
        }
    }
}

//! CSV with a header line; columns are typed as by the hub's loader, which is pandas.

use std::collections::HashSet;

use super::columns::Columns;
use super::room::{Fault, claim_table, too_large};
use crate::bounds::Claim;
use crate::vocabulary::{Cell, Row};

/// What pandas reads as a missing value, besides an empty field.
const MISSING: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Reads all rows. A column becomes integer, float or boolean if all of its values are; a missing value is
/// null, and turns an integer column into a float column. On a short line the last columns are null. A column
/// declared as text keeps its fields as written, except that empty fields are null.
///
/// # Errors
/// A description with the line of the fault, or that there are more values than a file of this size may have.
pub fn read(bytes: &[u8], columns: &Columns) -> Result<Vec<Row>, Fault> {
    // A field may be a comma, and has a place in the record and in a column of texts.
    let memory = bytes.len() as u64 * 16;
    let _claim = Claim::of(memory).map_err(|no_room| too_large("its fields take", &no_room))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let mut header: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    for (i, name) in reader.headers().map_err(|e| e.to_string())?.iter().enumerate() {
        let name = if name.is_empty() { format!("Unnamed: {i}") } else { name.to_string() };
        if !known.insert(name.clone()) {
            return Err(format!("line 1: column `{name}` stands twice").into());
        }
        header.push(name);
    }
    let records =
        reader.records().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string().to_lowercase())?;
    if let Some(long) = records.iter().find(|record| record.len() > header.len()) {
        let line = long.position().map_or(0, |position| position.line());
        return Err(format!("line {line}: {} fields, the header has {}", long.len(), header.len()).into());
    }
    let name_bytes = header.iter().map(String::len).sum();
    let _table = claim_table(header.len(), records.len(), 0, name_bytes, bytes.len())?;
    let field = |record: &csv::StringRecord, column: usize, text: bool| -> Option<String> {
        record.get(column).filter(|f| !f.is_empty() && (text || !MISSING.contains(f))).map(str::to_string)
    };
    let mut rows: Vec<Row> = records.iter().map(|_| Row::new()).collect();
    for (column, name) in header.iter().enumerate() {
        let text = columns.is_text(name);
        let fields: Vec<Option<String>> = records.iter().map(|record| field(record, column, text)).collect();
        let kind = if text { Kind::Text } else { Kind::of(&fields) };
        for (row, field) in rows.iter_mut().zip(fields) {
            row.insert(name.clone(), field.map_or(Cell::Null, |field| kind.value(&field)));
        }
    }
    Ok(rows)
}

#[derive(Clone, Copy)]
enum Kind {
    Int,
    Float,
    Bool,
    Text,
}

impl Kind {
    fn of(fields: &[Option<String>]) -> Self {
        let filled = || fields.iter().flatten().map(|field| field.trim_matches(' '));
        let complete = fields.iter().all(Option::is_some);
        let signed = || filled().all(|field| field.parse::<i64>().is_ok());
        if complete && (signed() || filled().all(|field| field.parse::<u64>().is_ok())) {
            Kind::Int
        } else if complete && filled().all(|field| field.parse::<i128>().is_ok()) {
            // pandas has no type for them, and keeps the fields.
            Kind::Text
        } else if filled().all(|field| field.parse::<f64>().is_ok_and(|x| !x.is_nan())) {
            Kind::Float
        } else if fields
            .iter()
            .flatten()
            .all(|field| matches!(field.as_str(), "True" | "False" | "true" | "false" | "TRUE" | "FALSE"))
        {
            Kind::Bool
        } else {
            Kind::Text
        }
    }

    fn value(self, field: &str) -> Cell {
        let number = field.trim_matches(' ');
        match self {
            Kind::Int => number.parse().map_or(Cell::Null, Cell::Int),
            Kind::Float => number.parse().map_or(Cell::Null, Cell::Float),
            Kind::Bool => Cell::Bool(field.eq_ignore_ascii_case("true")),
            Kind::Text => Cell::Text(field.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cells(rows: serde_json::Value) -> Vec<Cell> {
        rows.as_array().unwrap().iter().cloned().map(Cell::from).collect()
    }

    #[test]
    fn columns_get_types() {
        let rows = read(b"q,n,x,b,e\n\"a, b\",1,1.5,True,\nc,-2,3,False,x\n", &Columns::default()).unwrap();
        assert_eq!(
            rows.into_iter().map(Cell::Struct).collect::<Vec<_>>(),
            cells(json!([
                {"q": "a, b", "n": 1, "x": 1.5, "b": true, "e": null},
                {"q": "c", "n": -2, "x": 3.0, "b": false, "e": "x"},
            ]))
        );
    }

    #[test]
    fn missing_values_are_pandas() {
        let rows =
            read(b"\xef\xbb\xbf,n,b,t\n0,1,True,NA\n1,,,\"None\"\n2, 3\n", &Columns::default()).unwrap();
        assert_eq!(
            rows.into_iter().map(Cell::Struct).collect::<Vec<_>>(),
            cells(json!([
                {"Unnamed: 0": 0, "n": 1.0, "b": true, "t": null},
                {"Unnamed: 0": 1, "n": null, "b": null, "t": null},
                {"Unnamed: 0": 2, "n": 3.0, "b": null, "t": null},
            ]))
        );
    }

    #[test]
    fn whole_numbers_have_64_bits_with_a_sign_or_without() {
        let rows =
            read(b"x,y\n18446744073709551615,-1\n+1,9223372036854775808\n", &Columns::default()).unwrap();
        let row = |x, y: &str| {
            Row::from_iter([("x".to_string(), Cell::Int(x)), ("y".to_string(), Cell::Text(y.into()))])
        };
        assert_eq!(rows, [row(u64::MAX.into(), "-1"), row(1, "9223372036854775808")]);
    }

    #[test]
    fn infinities_are_floats() {
        let rows = read(b"x,y\n1.5,nan\n-inf,Infinity\n", &Columns::default()).unwrap();
        let row = |x, y| Row::from_iter([("x".to_string(), Cell::Float(x)), ("y".to_string(), y)]);
        assert_eq!(rows, [row(1.5, Cell::Null), row(f64::NEG_INFINITY, Cell::Float(f64::INFINITY))]);
    }

    #[test]
    fn ragged_lines_and_double_columns_are_errors() {
        assert!(read(b"a,b\n1,2,3\n", &Columns::default()).unwrap_err().to_string().contains("line"));
        assert!(read(b"a,a\n1,2\n", &Columns::default()).unwrap_err().to_string().contains("twice"));
    }
}

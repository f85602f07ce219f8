//! JSON lines, one object per row; or one JSON array of objects.

use std::collections::HashSet;

use super::columns::Columns;
use super::json_text::JsonReader;
use super::room::{Fault, claim_table, too_large};
use crate::python::calendar::{Unit, parse_timestamp, timestamp};
use crate::vocabulary::{Cell, Row};

/// Reads all rows. As in the table that the hub's loader makes, every row has the columns of all rows, and a
/// column has one type where possible: floats if one of its numbers is, times if all of its texts are. A column
/// of the manifest keeps what the file says: its type is declared.
///
/// # Errors
/// A description with the line and column of the fault, or that there are more values than a file of this size may have.
pub fn read(bytes: &[u8], columns: &Columns) -> Result<Vec<Row>, Fault> {
    let mut reader = None;
    let rows = read_rows(bytes, &mut reader);
    if let Some(no_room) = reader.as_ref().and_then(JsonReader::no_room) {
        return Err(too_large("its values take", no_room));
    }
    let mut rows = rows?;
    complete(&mut rows, columns, bytes.len())?;
    Ok(rows)
}

fn read_rows<'b>(bytes: &'b [u8], reader: &mut Option<JsonReader<'b>>) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("no UTF-8 after byte {}", e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let reader = reader.insert(JsonReader::new(text));
    let mut rows = Vec::new();
    loop {
        let position = reader.position();
        match reader.next()? {
            None => return Ok(rows),
            Some(Cell::Struct(row)) => rows.push(row),
            Some(Cell::List(items)) if rows.is_empty() => {
                let behind = reader.position();
                if reader.next()?.is_some() {
                    let line = reader.line_of(behind);
                    return Err(format!("line {line}: more follows after the array of rows"));
                }
                return array(items);
            }
            Some(_) => {
                let line = reader.line_of(position);
                return Err(format!("line {line}: expected an object of columns, found another value"));
            }
        }
    }
}

/// An array of rows, or of texts. The hub's loader writes it again as JSON lines, without NaN and infinities and
/// with ten digits after the point.
fn array(items: Vec<Cell>) -> Result<Vec<Row>, String> {
    let texts = items.iter().all(|item| matches!(item, Cell::Text(_)));
    let rows = items.into_iter().enumerate().map(|(i, mut item)| {
        rewrite(&mut item);
        match item {
            Cell::Struct(row) => Ok(row),
            text if texts => Ok(Row::from_iter([("text".to_string(), text)])),
            _ => Err(format!("row {}: expected an object of columns, found another value", i + 1)),
        }
    });
    rows.collect()
}

fn rewrite(cell: &mut Cell) {
    match cell {
        Cell::Float(x) if !x.is_finite() => *cell = Cell::Null,
        Cell::Float(x) if (1e-15..1e16).contains(&x.abs()) => *x = format!("{x:.10}").parse().unwrap_or(*x),
        Cell::List(items) => items.iter_mut().for_each(rewrite),
        Cell::Struct(entries) => entries.values_mut().for_each(rewrite),
        _ => {}
    }
}

fn complete(rows: &mut [Row], columns: &Columns, file: usize) -> Result<(), Fault> {
    let mut names: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if known.insert(name.as_str()) {
            names.push(name.clone());
        }
    }
    drop(known);
    let name_bytes = names.iter().map(String::len).sum();
    let filled = rows.iter().map(Row::len).sum();
    let _claim = claim_table(names.len(), rows.len(), filled, name_bytes, file)?;
    for row in rows.iter_mut().filter(|row| !row.keys().eq(&names)) {
        let given = std::mem::take(row);
        row.extend(names.iter().map(|name| (name.clone(), Cell::Null)));
        row.extend(given);
    }
    for name in &names {
        let values = rows.iter_mut().filter_map(|row| row.get_mut(name)).collect();
        unify(values, columns.declares(name));
        for value in rows.iter_mut().filter_map(|row| row.get_mut(name)) {
            if value.refusal().is_some() {
                *value = std::mem::replace(value, Cell::Null).in_column(name);
            }
        }
    }
    Ok(())
}

/// 2^63: whole numbers from here on are floats.
const LONG: i128 = 1 << 63;

/// Gives values one type, also in lists and in mappings with the same keys. Values that have none, such as numbers
/// among texts, stay what they are, and NaN among them is null, as in a JSON column of the hub's loader.
fn unify(mut values: Vec<&mut Cell>, declared: bool) {
    values.retain(|value| **value != Cell::Null);
    let all = |is: fn(&Cell) -> bool| values.iter().all(|value| is(value));
    if all(|value| matches!(value, Cell::Int(_) | Cell::Float(_))) {
        let is_float = |value: &Cell| match value {
            Cell::Int(n) => !declared && !(-LONG..LONG).contains(n),
            value => matches!(value, Cell::Float(_)),
        };
        if values.iter().any(|value| is_float(value)) {
            for value in values {
                if let Cell::Int(n) = *value {
                    *value = Cell::Float(n as f64);
                }
            }
        }
    } else if all(|value| matches!(value, Cell::Text(_))) {
        let time = |value: &Cell| value.as_str().and_then(parse_timestamp);
        if !declared && values.iter().all(|value| time(value).is_some()) {
            for value in values {
                if let Some(seconds) = time(value) {
                    *value = timestamp(seconds, Unit::Second, None);
                }
            }
        }
    } else if all(|value| matches!(value, Cell::List(_))) {
        let lists = values.into_iter().filter_map(|value| match value {
            Cell::List(items) => Some(items),
            _ => None,
        });
        unify(lists.flatten().collect(), declared);
    } else if let Some(keys) = shared_keys(&values) {
        let mut rows: Vec<&mut Row> = values.into_iter().filter_map(entries).collect();
        for row in rows.iter_mut().filter(|row| !row.keys().eq(&keys)) {
            row.sort_by_cached_key(|key, _| keys.iter().position(|name| name == key));
        }
        for key in keys {
            unify(rows.iter_mut().filter_map(|row| row.get_mut(&key)).collect(), declared);
        }
    } else if !all(|value| matches!(value, Cell::Bool(_))) {
        values.into_iter().for_each(without_nan);
    }
}

fn entries(value: &mut Cell) -> Option<&mut Row> {
    match value {
        Cell::Struct(row) => Some(row),
        _ => None,
    }
}

fn without_nan(value: &mut Cell) {
    match value {
        Cell::Float(x) if !x.is_finite() => *value = Cell::Null,
        Cell::List(items) => items.iter_mut().for_each(without_nan),
        Cell::Struct(entries) => entries.values_mut().for_each(without_nan),
        _ => {}
    }
}

fn shared_keys(values: &[&mut Cell]) -> Option<Vec<String>> {
    let Cell::Struct(first) = &**values.first()? else { return None };
    let keys: Vec<String> = first.keys().cloned().collect();
    let same = |value: &&mut Cell| match value {
        Cell::Struct(row) => row.len() == keys.len() && keys.iter().all(|key| row.contains_key(key)),
        _ => false,
    };
    values.iter().all(same).then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let rows = read(text.as_bytes(), &Columns::default()).unwrap();
        rows.into_iter().map(|row| crate::python::literal::str(&Cell::Struct(row)) + "\n").collect()
    }

    #[test]
    fn columns_have_one_type() {
        let rows = "{\"a\": 1, \"l\": [1], \"d\": {\"x\": 1}, \"m\": 1}\n\
                    {\"a\": 2.5, \"l\": [0.5, 2], \"d\": {\"x\": 1.5}, \"m\": \"s\", \"n\": \"q\"}\n";
        assert_eq!(
            shown(rows),
            "{'a': 1.0, 'l': [1.0], 'd': {'x': 1.0}, 'm': 1, 'n': None}\n\
             {'a': 2.5, 'l': [0.5, 2.0], 'd': {'x': 1.5}, 'm': 's', 'n': 'q'}\n"
        );
    }

    /// Expected: `datasets` 5.2 over pyarrow 26.
    #[test]
    fn values_are_those_of_the_hub_s_loader() {
        let day = "datetime.datetime(2024, 1, 5, 0, 0)";
        for (rows, expected) in [
            ("\u{feff}{\"x\": 1}\r\n\r\n{\"x\": 2}\r\n", "{'x': 1}\n{'x': 2}\n".to_string()),
            ("{\"x\":\n1} {\"x\": 2}{\"x\": 3}", "{'x': 1}\n{'x': 2}\n{'x': 3}\n".into()),
            ("{\"x\": NaN}\n{\"x\": 1}\n{\"x\": null}", "{'x': nan}\n{'x': 1.0}\n{'x': None}\n".into()),
            ("{\"x\": [Infinity, -Infinity]}", "{'x': [inf, -inf]}\n".into()),
            ("{\"x\": NaN}\n{\"x\": \"a\"}", "{'x': None}\n{'x': 'a'}\n".into()),
            ("{\"x\": {\"a\": NaN}}\n{\"x\": {\"b\": 1}}", "{'x': {'a': None}}\n{'x': {'b': 1}}\n".into()),
            ("{\"x\": \"2024-01-05\"}\n{\"x\": null}", format!("{{'x': {day}}}\n{{'x': None}}\n")),
            ("{\"x\": \"2024-01-05\"}\n{\"x\": \"\"}", "{'x': '2024-01-05'}\n{'x': ''}\n".into()),
            ("{\"x\": [\"2024-01-05\"]}", format!("{{'x': [{day}]}}\n")),
            ("{\"x\": {\"d\": \"2024-01-05\"}}", format!("{{'x': {{'d': {day}}}}}\n")),
            ("{\"x\": \"2024-01-05\"}\n{\"x\": 5}", "{'x': '2024-01-05'}\n{'x': 5}\n".into()),
            ("{\"x\": 9223372036854775807}", "{'x': 9223372036854775807}\n".into()),
            ("{\"x\": 1}\n{\"x\": 9223372036854775808}", "{'x': 1.0}\n{'x': 9.223372036854776e+18}\n".into()),
            (
                "{\"x\": {\"a\": 1, \"b\": 2}}\n{\"x\": {\"b\": 1, \"a\": 2}}",
                "{'x': {'a': 1, 'b': 2}}\n{'x': {'a': 2, 'b': 1}}\n".into(),
            ),
            ("{\"x\": {\"a\": 1}}\n{\"x\": {\"b\": 1.5}}", "{'x': {'a': 1}}\n{'x': {'b': 1.5}}\n".into()),
            ("{\"x\": true}\n{\"x\": 1}", "{'x': True}\n{'x': 1}\n".into()),
            (
                "[{\"x\": NaN}, {\"y\": 0.1234567890123456789}]",
                "{'x': None, 'y': None}\n{'x': None, 'y': 0.123456789}\n".into(),
            ),
            ("[\"a\", \"b\"]", "{'text': 'a'}\n{'text': 'b'}\n".into()),
        ] {
            assert_eq!(shown(rows), expected, "{rows}");
        }
    }

    #[test]
    fn a_column_a_row_is_too_large_a_table() {
        let rows: String = (0..1500).map(|i| format!("{{\"{i}\":1}}\n")).collect();
        let fault = read(rows.as_bytes(), &Columns::default()).unwrap_err();
        assert!(
            matches!(&fault, Fault::TooLarge(what) if what.starts_with("1500 columns x 1500 rows are 2250000 values")),
            "{fault}"
        );
    }

    #[test]
    fn what_is_no_row_is_an_error() {
        for (text, expected) in [
            ("{}\n5", "line 2: expected an object of columns, found another value"),
            ("{}\n[1]", "line 2: expected an object of columns, found another value"),
            ("[{}]\n[{}]", "line 2: more follows after the array of rows"),
            ("[{}, 1]", "row 2: expected an object of columns, found another value"),
        ] {
            assert_eq!(read(text.as_bytes(), &Columns::default()).unwrap_err().to_string(), expected);
        }
    }
}

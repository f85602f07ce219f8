//! JSON lines, one object per row; or one JSON array of objects.

use std::collections::HashSet;

use serde_json::Value;

use crate::vocabulary::Row;

/// Reads all rows; blank lines are skipped. As in the table that the hub's loader makes, every row has the
/// columns of all rows, and a column has one type where possible.
///
/// # Errors
/// A description with the line and column of the fault.
pub fn read(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let mut rows = read_rows(bytes)?;
    complete(&mut rows);
    Ok(rows)
}

fn read_rows(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("no UTF-8 after byte {}", e.valid_up_to()))?;
    if text.trim_start().starts_with('[') {
        let rows: Vec<Value> = serde_json::from_str(text).map_err(|e| e.to_string().to_lowercase())?;
        return rows.into_iter().enumerate().map(|(i, row)| object(row, i + 1)).collect();
    }
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            let row = serde_json::from_str(line)
                .map_err(|e| format!("line {}: {}", i + 1, e.to_string().to_lowercase()))?;
            object(row, i + 1)
        })
        .collect()
}

fn object(value: Value, at: usize) -> Result<Row, String> {
    match value {
        Value::Object(row) => Ok(row),
        _ => Err(format!("row {at}: expected an object of columns, found another value")),
    }
}

fn complete(rows: &mut [Row]) {
    let mut names: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if known.insert(name.as_str()) {
            names.push(name.clone());
        }
    }
    for row in rows.iter_mut().filter(|row| row.len() < names.len()) {
        for name in &names {
            if !row.contains_key(name) {
                row.insert(name.clone(), Value::Null);
            }
        }
    }
    for name in &names {
        unify(rows.iter_mut().filter_map(|row| row.get_mut(name)).collect());
    }
}

/// Converts integers among floats to floats, also in lists and in mappings with the same keys.
fn unify(mut values: Vec<&mut Value>) {
    values.retain(|value| !value.is_null());
    if values.iter().all(|value| value.is_number()) {
        if values.iter().any(|value| value.is_f64()) {
            for value in values {
                if let Some(float) = value.as_f64() {
                    *value = Value::from(float);
                }
            }
        }
    } else if values.iter().all(|value| value.is_array()) {
        unify(values.into_iter().filter_map(Value::as_array_mut).flatten().collect());
    } else if let Some(keys) = shared_keys(&values) {
        for key in keys {
            unify(values.iter_mut().filter_map(|value| value.get_mut(&key)).collect());
        }
    }
}

fn shared_keys(values: &[&mut Value]) -> Option<Vec<String>> {
    let keys: Vec<String> = values.first()?.as_object()?.keys().cloned().collect();
    let same = |value: &&mut Value| {
        value.as_object().is_some_and(|o| o.len() == keys.len() && keys.iter().all(|key| o.contains_key(key)))
    };
    values.iter().all(same).then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_have_one_type() {
        let rows = read(
            b"{\"a\": 1, \"l\": [1], \"d\": {\"x\": 1}, \"m\": 1}\n{\"a\": 2.5, \"l\": [0.5, 2], \"d\": {\"x\": 1.5}, \"m\": \"s\", \"n\": \"q\"}\n",
        );
        assert_eq!(
            Value::from(rows.unwrap().into_iter().map(Value::Object).collect::<Vec<_>>()),
            json!([
                {"a": 1.0, "l": [1.0], "d": {"x": 1.0}, "m": 1, "n": null},
                {"a": 2.5, "l": [0.5, 2.0], "d": {"x": 1.5}, "m": "s", "n": "q"},
            ])
        );
    }
}

//! JSON lines, one object a row; or one JSON array of objects.

use serde_json::Value;

use crate::vocabulary::Row;

/// Reads all rows; blank lines are passed over.
///
/// # Errors
/// A description with the line and column of the fault.
pub fn read(bytes: &[u8]) -> Result<Vec<Row>, String> {
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

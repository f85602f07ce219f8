//! CSV with a header line; columns get a type as the hub's loader gives them one.

use serde_json::Value;

use crate::vocabulary::Row;

/// Reads all rows. A column whose every value is a whole number, a number, or True/False becomes one; an empty field is null.
///
/// # Errors
/// A description with the line of the fault.
pub fn read(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let header = reader.headers().map_err(|e| e.to_string())?.clone();
    if let Some(name) = header.iter().enumerate().find(|(i, name)| header.iter().take(*i).any(|h| h == *name))
    {
        return Err(format!("line 1: column `{}` stands twice", name.1));
    }
    let records =
        reader.records().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string().to_lowercase())?;
    let kinds: Vec<Kind> = (0..header.len())
        .map(|column| Kind::of(records.iter().map(|r| r.get(column).unwrap_or_default())))
        .collect();
    Ok(records
        .iter()
        .map(|record| {
            header
                .iter()
                .zip(record.iter())
                .zip(&kinds)
                .map(|((name, field), kind)| (name.to_string(), kind.value(field)))
                .collect()
        })
        .collect())
}

#[derive(Clone, Copy)]
enum Kind {
    Int,
    Float,
    Bool,
    Text,
}

impl Kind {
    fn of<'a>(fields: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut filled = fields.filter(|field| !field.is_empty()).peekable();
        if filled.peek().is_none() {
            return Kind::Text;
        }
        if filled.clone().all(|field| field.parse::<i64>().is_ok()) {
            Kind::Int
        } else if filled.clone().all(|field| field.parse::<f64>().is_ok_and(f64::is_finite)) {
            Kind::Float
        } else if filled.all(|field| matches!(field, "True" | "False" | "true" | "false" | "TRUE" | "FALSE"))
        {
            Kind::Bool
        } else {
            Kind::Text
        }
    }

    fn value(self, field: &str) -> Value {
        match self {
            _ if field.is_empty() => Value::Null,
            Kind::Int => field.parse::<i64>().map_or(Value::Null, Value::from),
            Kind::Float => field.parse::<f64>().map_or(Value::Null, Value::from),
            Kind::Bool => Value::Bool(field.eq_ignore_ascii_case("true")),
            Kind::Text => Value::from(field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_get_types() {
        let rows = read(b"q,n,x,b,e\n\"a, b\",1,1.5,True,\nc,-2,3,False,x\n").unwrap();
        assert_eq!(
            Value::from(rows.into_iter().map(Value::Object).collect::<Vec<_>>()),
            json!([
                {"q": "a, b", "n": 1, "x": 1.5, "b": true, "e": null},
                {"q": "c", "n": -2, "x": 3.0, "b": false, "e": "x"},
            ])
        );
    }

    #[test]
    fn ragged_lines_and_double_columns_are_errors() {
        assert!(read(b"a,b\n1,2,3\n").unwrap_err().contains("line"));
        assert!(read(b"a,a\n1,2\n").unwrap_err().contains("twice"));
    }
}

//! The content of rows as one hash, independent of file format, compression, number of shards and order of
//! columns.
//!
//! It is BLAKE3 over the bytes `assay rows 1`, a line feed, and the rows, one after the other in their order, each as a mapping
//! of its columns:
//!
//! | value | bytes |
//! |---|---|
//! | null | `n` |
//! | false, true | `f`, `t` |
//! | whole number | `i`, and the number in 16 bytes, as two's complement |
//! | number with a point | `d`, and as text its shortest decimal that reads back to the same double, such as `1.5e0`, `-0e0`, `1e21` |
//! | NaN, infinities | `d`, and as text `NaN`, `inf`, `-inf` |
//! | text | `s`, and the text |
//! | bytes | `y`, their number, and the bytes |
//! | date, time, decimal number | `o`, and as texts the name of its Python class and what Python prints of it |
//! | value of a kind that is refused | `r`, and as text the reason |
//! | list | `l`, the number of items, and the items |
//! | mapping | `m`, the number of entries, and for each, in the order of the names' bytes, the name as text and the value |
//!
//! Text is its length in bytes and its UTF-8; lengths in bytes and numbers of items and entries take 8 bytes;
//! all numbers are little-endian. Every value is self-delimiting, so no two different lists of rows have the
//! same bytes. `1` and `1.0` differ, and so do `0.0` and `-0.0`: templates print them differently.
//!
//! The values are those that templates see, with the types that the manifest declares
//! ([`Columns`](super::columns::Columns)); an undeclared column has the types of its file.

use std::io::Write;

use crate::vocabulary::{Cell, Fingerprint, Row};

const FORM: &[u8] = b"assay rows 1\n";
/// Bytes that are hashed at once: BLAKE3 is fastest over long inputs.
const PIECE: usize = 256 << 10;

/// The hash of rows.
pub fn fingerprint(rows: &[Row]) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = FORM.to_vec();
    for row in rows {
        write_mapping(row, &mut bytes);
        if bytes.len() >= PIECE {
            hasher.update(&bytes);
            bytes.clear();
        }
    }
    hasher.update(&bytes);
    hasher.finalize().into()
}

fn write_length(length: usize, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(length as u64).to_le_bytes());
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    write_length(text.len(), bytes);
    bytes.extend_from_slice(text.as_bytes());
}

fn write_mapping(values: &Row, bytes: &mut Vec<u8>) {
    let mut entries: Vec<(&String, &Cell)> = values.iter().collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    bytes.push(b'm');
    write_length(entries.len(), bytes);
    for (name, value) in entries {
        write_text(name, bytes);
        write_value(value, bytes);
    }
}

fn write_value(value: &Cell, bytes: &mut Vec<u8>) {
    match value {
        Cell::Null => bytes.push(b'n'),
        Cell::Bool(false) => bytes.push(b'f'),
        Cell::Bool(true) => bytes.push(b't'),
        Cell::Int(whole) => {
            bytes.push(b'i');
            bytes.extend_from_slice(&whole.to_le_bytes());
        }
        Cell::Float(x) => {
            bytes.push(b'd');
            let from = bytes.len();
            write_length(0, bytes);
            // Writing to memory does not fail.
            let _ = write!(bytes, "{x:e}");
            let length = (bytes.len() - from - 8) as u64;
            bytes[from..from + 8].copy_from_slice(&length.to_le_bytes());
        }
        Cell::Text(text) => {
            bytes.push(b's');
            write_text(text, bytes);
        }
        Cell::Bytes(data) => {
            bytes.push(b'y');
            write_length(data.len(), bytes);
            bytes.extend_from_slice(data);
        }
        Cell::List(items) => {
            bytes.push(b'l');
            write_length(items.len(), bytes);
            items.iter().for_each(|item| write_value(item, bytes));
        }
        Cell::Struct(values) => write_mapping(values, bytes),
        Cell::Object(object) => {
            bytes.push(b'o');
            write_text(object.class.name(), bytes);
            write_text(&object.str, bytes);
        }
        Cell::Refused(why) => {
            bytes.push(b'r');
            write_text(why, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dataset::columns::{ColumnType, Columns};
    use crate::dataset::{csv, jsonl, parquet};

    fn columns() -> Columns {
        let column = |(name, kind): (&str, &str)| (name.to_string(), ColumnType::parse(kind).unwrap());
        Columns::new([("t", "string"), ("n", "int64"), ("x", "float64"), ("b", "bool")].map(column).to_vec())
    }

    /// Text that is not empty, often such that a reader may take it for another type.
    fn texts() -> impl Strategy<Value = String> {
        const ODD: [&str; 10] = ["1", "007", "1.0", "NA", "null", "True", " x", "a,\"b\"\n", "é", "-0"];
        prop_oneof![prop::sample::select(&ODD[..]).prop_map(str::to_string), "[ -~]{1,8}"]
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let whole = prop_oneof![-3i64..3, -(1i64 << 53)..1 << 53];
        let points = prop_oneof![Just(0.0), Just(-0.0), Just(2.0), Just(1e21), Just(0.1), -1e9..1e9];
        let row = (prop::option::of(texts()), prop::option::of(whole), points, any::<bool>());
        let row = row.prop_map(|(t, n, x, b)| match json!({"t": t, "n": n, "x": x, "b": b}) {
            Value::Object(entries) => crate::vocabulary::row(entries),
            _ => Row::new(),
        });
        vec(row, 1..6)
    }

    fn json(cell: &Cell) -> Value {
        match cell {
            Cell::Bool(b) => (*b).into(),
            Cell::Int(n) => (*n as i64).into(),
            Cell::Float(x) => (*x).into(),
            Cell::Text(text) => text.as_str().into(),
            Cell::List(items) => items.iter().map(json).collect(),
            Cell::Struct(row) => row.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
            _ => Value::Null,
        }
    }

    fn as_jsonl(rows: &[Row]) -> Vec<u8> {
        rows.iter().flat_map(|row| format!("{}\n", json(&Cell::Struct(row.clone()))).into_bytes()).collect()
    }

    fn as_csv(rows: &[Row]) -> Vec<u8> {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(rows[0].keys()).unwrap();
        for row in rows {
            let field = |value: &Cell| match value {
                Cell::Null => String::new(),
                Cell::Text(text) => text.clone(),
                other => json(other).to_string(),
            };
            writer.write_record(row.values().map(field)).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn as_parquet(rows: &[Row]) -> Vec<u8> {
        let schema = "message m { optional binary t (UTF8); optional int64 n; required double x; required boolean b; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let levels =
            |name: &str| -> Vec<i16> { rows.iter().map(|row| i16::from(row[name] != Cell::Null)).collect() };
        let mut column = group.next_column().unwrap().unwrap();
        let t: Vec<ByteArray> = rows.iter().filter_map(|row| Some(row["t"].as_str()?.into())).collect();
        column.typed::<ByteArrayType>().write_batch(&t, Some(&levels("t")), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let n: Vec<i64> = rows.iter().filter_map(|row| json(&row["n"]).as_i64()).collect();
        column.typed::<Int64Type>().write_batch(&n, Some(&levels("n")), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let x: Vec<f64> = rows.iter().filter_map(|row| json(&row["x"]).as_f64()).collect();
        column.typed::<DoubleType>().write_batch(&x, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let b: Vec<bool> = rows.iter().filter_map(|row| json(&row["b"]).as_bool()).collect();
        column.typed::<BoolType>().write_batch(&b, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    fn conformed(mut rows: Vec<Row>) -> Fingerprint {
        columns().conform(&mut rows);
        fingerprint(&rows)
    }

    /// Any value that a row can hold.
    fn values() -> impl Strategy<Value = Cell> {
        json_values().prop_map(Cell::from)
    }

    fn json_values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2i64..3).prop_map(Value::from),
            (-2i64..3).prop_map(|x| Value::from(x as f64)),
            prop::sample::select(&["", "n", "1", "ab", "a", "b"][..]).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let names = prop::sample::select(&["a", "b", "ab", ""][..]).prop_map(str::to_string);
            let entries = vec((names, inner.clone()), 0..3);
            prop_oneof![
                vec(inner, 0..3).prop_map(Value::from),
                entries.prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    fn free_rows() -> impl Strategy<Value = Vec<Row>> {
        let row = vec((prop::sample::select(&["a", "b", "c"][..]), values()), 0..3);
        let row =
            row.prop_map(|row| row.into_iter().map(|(name, value)| (name.to_string(), value)).collect());
        vec(row, 0..4)
    }

    proptest! {
        #[test]
        fn every_format_gives_one_hash(rows in rows()) {
            let expected = fingerprint(&rows);
            prop_assert_eq!(&conformed(jsonl::read(&as_jsonl(&rows), &columns()).unwrap()), &expected);
            prop_assert_eq!(&conformed(csv::read(&as_csv(&rows), &columns()).unwrap()), &expected);
            prop_assert_eq!(&conformed(parquet::read(bytes::Bytes::from(as_parquet(&rows))).unwrap()), &expected);
        }

        #[test]
        fn the_order_of_columns_is_nothing(rows in free_rows()) {
            let turned: Vec<Row> = rows.iter().map(|row| row.clone().into_iter().rev().collect()).collect();
            prop_assert_eq!(fingerprint(&turned), fingerprint(&rows));
        }

        #[test]
        fn other_rows_have_another_hash(one in free_rows(), other in free_rows()) {
            prop_assert_eq!(one == other, fingerprint(&one) == fingerprint(&other));
        }

        #[test]
        fn any_single_change_shows(
            rows in free_rows(),
            row in any::<prop::sample::Index>(),
            second in any::<prop::sample::Index>(),
            column in any::<prop::sample::Index>(),
            value in values(),
        ) {
            let mut changes = Vec::new();
            let mut change = |change: &dyn Fn(&mut Vec<Row>)| {
                let mut changed = rows.clone();
                change(&mut changed);
                changes.push(changed);
            };
            change(&|rows| rows.push(Row::new()));
            if !rows.is_empty() {
                let (row, second) = (row.index(rows.len()), second.index(rows.len()));
                change(&|rows| rows.swap(row, second));
                change(&|rows| drop(rows.remove(row)));
                change(&|rows| drop(rows[row].insert("additional".into(), Cell::Null)));
                if !rows[row].is_empty() {
                    let name = rows[row].keys().nth(column.index(rows[row].len())).unwrap().clone();
                    change(&|rows| drop(rows[row].shift_remove(&name)));
                    change(&|rows| drop(rows[row].insert(name.clone(), value.clone())));
                    change(&|rows| rows[row][&name] = Cell::List(vec![rows[row][&name].clone()]));
                }
            }
            for changed in changes {
                prop_assert_eq!(changed == rows, fingerprint(&changed) == fingerprint(&rows), "{:?}", changed);
            }
        }
    }

    #[test]
    fn the_form_is_the_documented_one() {
        let cell = Cell::from(json!({"b": [null, true, -1], "a": "é", "c": {"x": -0.0}}));
        let Cell::Struct(row) = cell else { return };
        let mut bytes = Vec::new();
        write_mapping(&row, &mut bytes);
        let number = |n: u64| n.to_le_bytes().to_vec();
        let text = |text: &str| [number(text.len() as u64), text.as_bytes().to_vec()].concat();
        let expected = [
            [b"m".to_vec(), number(3)].concat(),
            [text("a"), b"s".to_vec(), text("é")].concat(),
            [text("b"), b"l".to_vec(), number(3), b"nti".to_vec(), vec![0xff; 16]].concat(),
            [text("c"), b"m".to_vec(), number(1), text("x"), b"d".to_vec(), text("-0e0")].concat(),
        ];
        assert_eq!(bytes, expected.concat());
        let whole = [FORM.to_vec(), bytes].concat();
        assert_eq!(fingerprint(&[row]), Fingerprint::of(&whole));
    }
}

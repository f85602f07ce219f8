//! What a parquet column's values are in Python, as pyarrow reads them: by parquet's own types, and by the Arrow
//! schema where the writer left one.

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::record::Field;
use parquet::schema::types::Type;

use super::arrow_schema::{ArrowField, ArrowKind};
use super::json_text::JsonReader;
use crate::python::calendar::{Unit, Zone, date, duration, time, timestamp};
use crate::python::decimal::decimal;
use crate::vocabulary::{Cell, Row};

/// The kind of a column's values, or of a part of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Truth values and numbers; they are what they are stored as.
    Plain,
    /// Whole numbers of so many bits without a sign.
    Unsigned(u32),
    Text,
    Bytes,
    /// Texts that hold JSON.
    Json,
    Date,
    Time(Unit),
    Timestamp(Unit, Option<Zone>),
    /// Timestamps of 96 bits.
    Int96,
    Duration(Unit),
    /// With so many digits after the point.
    Decimal(u32),
    List(Box<Kind>),
    Struct(Vec<Kind>),
    /// Not given to templates, and why.
    Refused(String),
}

/// The kind of a column.
pub fn kind(column: &Type, arrow: Option<&ArrowField>) -> Kind {
    let arrow = arrow.filter(|arrow| arrow.name == column.name());
    let kind = of_type(column, arrow);
    match refusal(&kind) {
        Some(what) => Kind::Refused(format!("column `{}` holds {what}", column.name())),
        None => kind,
    }
}

/// Why a part of the kind is refused. Timestamps of 96 bits are read apart, and only as columns.
fn refusal(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Refused(what) => Some(what.clone()),
        Kind::List(item) if **item == Kind::Int96 => Some(NESTED_INT96.into()),
        Kind::List(item) => refusal(item),
        Kind::Struct(fields) if fields.contains(&Kind::Int96) => Some(NESTED_INT96.into()),
        Kind::Struct(fields) => fields.iter().find_map(refusal),
        _ => None,
    }
}

const NESTED_INT96: &str = "timestamps of 96 bits inside of lists or structs, which are not read here";

fn of_type(field: &Type, arrow: Option<&ArrowField>) -> Kind {
    if let Some(ArrowKind::Extension(name)) = arrow.map(|arrow| &arrow.kind)
        && name != "arrow.json"
    {
        return Kind::Refused(format!("values of the extension type {name}, which are not read here"));
    }
    let info = field.get_basic_info();
    let child = |at: usize| arrow.and_then(|arrow| arrow.children.get(at));
    let kind = if field.is_primitive() {
        of_primitive(field, arrow)
    } else {
        match (info.logical_type_ref(), info.converted_type()) {
            (Some(LogicalType::List), _) | (None, ConvertedType::LIST) => {
                let Some(repeated) = field.get_fields().first() else { return Kind::Plain };
                return if is_element(repeated) {
                    // Read as an element, it is not a list of its own.
                    let item = if repeated.is_primitive() {
                        of_primitive(repeated, child(0))
                    } else {
                        of_fields(repeated, child(0))
                    };
                    Kind::List(Box::new(item))
                } else {
                    let item = repeated.get_fields().first();
                    Kind::List(Box::new(item.map_or(Kind::Plain, |item| of_type(item, child(0)))))
                };
            }
            (Some(LogicalType::Map), _) | (_, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE) => {
                return Kind::Refused("maps, which the hub's loader does not read".into());
            }
            (Some(LogicalType::Variant(_)), _) => {
                return Kind::Refused("variants, which are not read here".into());
            }
            _ => of_fields(field, arrow),
        }
    };
    if info.has_repetition() && info.repetition() == Repetition::REPEATED {
        Kind::List(Box::new(kind))
    } else {
        kind
    }
}

fn of_fields(group: &Type, arrow: Option<&ArrowField>) -> Kind {
    let fields = group.get_fields().iter().enumerate();
    let arrow = |at: usize| arrow.and_then(|arrow| arrow.children.get(at));
    Kind::Struct(fields.map(|(at, field)| of_type(field, arrow(at))).collect())
}

/// Whether a list's repeated field is its element, rather than a group around it: parquet's rules for old writers.
fn is_element(repeated: &Type) -> bool {
    if repeated.is_primitive() {
        return true;
    }
    let info = repeated.get_basic_info();
    let is_list = match info.logical_type_ref() {
        Some(logical) => *logical == LogicalType::List,
        None => info.converted_type() == ConvertedType::LIST,
    };
    let fields = repeated.get_fields();
    let repeats = |field: &Type| {
        let info = field.get_basic_info();
        info.has_repetition() && info.repetition() == Repetition::REPEATED
    };
    if is_list || (fields.len() == 1 && repeats(&fields[0])) {
        return false;
    }
    fields.len() > 1 || repeated.name() == "array" || repeated.name().ends_with("_tuple")
}

fn of_primitive(field: &Type, arrow: Option<&ArrowField>) -> Kind {
    let info = field.get_basic_info();
    let scale = match field {
        Type::PrimitiveType { scale, .. } => u32::try_from(*scale).unwrap_or_default(),
        Type::GroupType { .. } => 0,
    };
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => Unit::Milli,
        TimeUnit::MICROS => Unit::Micro,
        TimeUnit::NANOS => Unit::Nano,
    };
    let physical = field.get_physical_type();
    let refused = |what: &str| Kind::Refused(format!("{what}, which are not read here"));
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::Timestamp(kind)), _) => {
            let zone = match arrow.map(|arrow| &arrow.kind) {
                _ if !kind.is_adjusted_to_u_t_c => return Kind::Timestamp(unit(&kind.unit), None),
                Some(ArrowKind::Timestamp(Some(zone))) => zone,
                _ => "UTC",
            };
            match Zone::new(zone) {
                Some(zone) => Kind::Timestamp(unit(&kind.unit), Some(zone)),
                None => Kind::Refused(format!(
                    "times of the zone {zone}, whose offset from UTC is not known here"
                )),
            }
        }
        (Some(LogicalType::Time(kind)), _) => Kind::Time(unit(&kind.unit)),
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => Kind::Date,
        (Some(LogicalType::Decimal(kind)), _) => Kind::Decimal(u32::try_from(kind.scale).unwrap_or_default()),
        (Some(LogicalType::Integer(kind)), _) if !kind.is_signed => Kind::Unsigned(kind.bit_width as u32),
        (Some(LogicalType::String), _) | (None, ConvertedType::UTF8) => Kind::Text,
        (Some(LogicalType::Json), _) | (None, ConvertedType::JSON) => Kind::Json,
        (Some(LogicalType::Uuid), _) => Kind::Refused("UUIDs, which the hub's loader does not read".into()),
        (Some(LogicalType::Float16), _) if physical != Physical::FIXED_LEN_BYTE_ARRAY => {
            refused("odd floats")
        }
        (Some(LogicalType::Geometry(_) | LogicalType::Geography(_) | LogicalType::File), _) => {
            refused("shapes or files")
        }
        // Only the converted type of old writers: whether they meant UTC is not known, and pyarrow says no.
        (None, ConvertedType::TIMESTAMP_MILLIS) => Kind::Timestamp(Unit::Milli, None),
        (None, ConvertedType::TIMESTAMP_MICROS) => Kind::Timestamp(Unit::Micro, None),
        (None, ConvertedType::TIME_MILLIS) => Kind::Time(Unit::Milli),
        (None, ConvertedType::TIME_MICROS) => Kind::Time(Unit::Micro),
        (None, ConvertedType::DECIMAL) => Kind::Decimal(scale),
        (_, ConvertedType::INTERVAL) => refused("intervals"),
        (None | Some(LogicalType::Enum | LogicalType::Bson), _) if physical == Physical::BYTE_ARRAY => {
            Kind::Bytes
        }
        (None, _) if physical == Physical::FIXED_LEN_BYTE_ARRAY => Kind::Bytes,
        (_, _) if physical == Physical::INT96 => Kind::Int96,
        (None, ConvertedType::NONE | ConvertedType::INT_64) if physical == Physical::INT64 => {
            match arrow.map(|arrow| &arrow.kind) {
                Some(ArrowKind::Duration(0)) => Kind::Duration(Unit::Second),
                Some(ArrowKind::Duration(1)) => Kind::Duration(Unit::Milli),
                Some(ArrowKind::Duration(2)) => Kind::Duration(Unit::Micro),
                Some(ArrowKind::Duration(_)) => Kind::Duration(Unit::Nano),
                _ => Kind::Plain,
            }
        }
        _ => Kind::Plain,
    }
}

/// The value that a field of a kind is in Python.
///
/// # Errors
/// A value that is not of its kind.
pub fn cell(kind: &Kind, field: Field) -> Result<Cell, String> {
    let number = match &field {
        Field::Byte(n) => Some(i64::from(*n)),
        Field::Short(n) => Some(i64::from(*n)),
        Field::Int(n) | Field::Date(n) | Field::TimeMillis(n) => Some(i64::from(*n)),
        Field::UByte(n) => Some(i64::from(*n)),
        Field::UShort(n) => Some(i64::from(*n)),
        Field::UInt(n) => Some(i64::from(*n)),
        Field::Long(n) | Field::TimeMicros(n) | Field::TimestampMillis(n) | Field::TimestampMicros(n) => {
            Some(*n)
        }
        Field::ULong(n) => Some(*n as i64),
        _ => None,
    };
    Ok(match (kind, field) {
        (_, Field::Null) => Cell::Null,
        (Kind::Refused(why), _) => Cell::Refused(why.as_str().into()),
        (Kind::Text, field) => Cell::Text(text(field)?),
        (Kind::Json, field) => json(&text(field)?)?,
        (Kind::Bytes, Field::Bytes(bytes)) => Cell::Bytes(bytes.data().to_vec()),
        (Kind::Bytes, Field::Str(text)) => Cell::Bytes(text.into_bytes()),
        (Kind::List(item), Field::ListInternal(list)) => {
            let items = list.elements().iter().cloned().map(|field| cell(item, field));
            Cell::List(items.collect::<Result<_, _>>()?)
        }
        (Kind::Struct(kinds), Field::Group(group)) => {
            let fields = group.into_columns().into_iter().zip(kinds);
            let fields = fields.map(|((name, field), kind)| Ok((name, cell(kind, field)?)));
            Cell::Struct(fields.collect::<Result<Row, String>>()?)
        }
        (Kind::Decimal(_), Field::Decimal(value)) => {
            decimal(value.data(), u32::try_from(value.scale()).unwrap_or_default())
        }
        (Kind::Decimal(scale), Field::Bytes(bytes)) => decimal(bytes.data(), *scale),
        (Kind::Plain, Field::Bool(value)) => Cell::Bool(value),
        (Kind::Plain, Field::Float16(x)) => Cell::Float(f64::from(x)),
        (Kind::Plain, Field::Float(x)) => Cell::Float(f64::from(x)),
        (Kind::Plain, Field::Double(x)) => Cell::Float(x),
        (Kind::Plain, Field::ULong(n)) => Cell::Int(n.into()),
        (kind, field) => match (kind, number) {
            (Kind::Plain, Some(n)) => Cell::Int(n.into()),
            (Kind::Unsigned(bits), Some(n)) => {
                let mask = u64::MAX.checked_shr(64 - bits.clamp(&1, &64)).unwrap_or(u64::MAX);
                Cell::Int((n as u64 & mask).into())
            }
            (Kind::Date, Some(n)) => date(n),
            (Kind::Time(unit), Some(n)) => time(n, *unit),
            (Kind::Timestamp(unit, zone), Some(n)) => timestamp(n, *unit, zone.as_ref()),
            (Kind::Duration(unit), Some(n)) => duration(n, *unit),
            (Kind::Decimal(scale), Some(n)) => decimal(&n.to_be_bytes(), *scale),
            _ => return Err(format!("a value {field} in a column of another kind")),
        },
    })
}

fn text(field: Field) -> Result<String, String> {
    match field {
        Field::Str(text) => Ok(text),
        Field::Bytes(bytes) => {
            String::from_utf8(bytes.data().to_vec()).map_err(|_| "a text that is no UTF-8".to_string())
        }
        other => Err(format!("a value {other} in a column of texts")),
    }
}

fn json(text: &str) -> Result<Cell, String> {
    let mut reader = JsonReader::new(text);
    match (reader.next()?, reader.next()?) {
        (Some(value), None) => Ok(value),
        _ => Err("a text in a column of JSON that is not one value".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::data_type::{
        ByteArrayType, DataType, FixedLenByteArrayType, Int32Type, Int64Type, Int96, Int96Type,
    };
    use ::parquet::file::metadata::KeyValue;
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    use super::super::parquet::read;
    use super::*;
    use crate::python::literal;

    /// A column `x` with one value and a null, read again, as templates print it and as they print a list of it.
    fn shown<T: DataType>(column: &str, arrow: Option<&str>, value: T::T) -> Result<[String; 2], String> {
        let schema = parse_message_type(&format!("message m {{ optional {column}; }}")).unwrap();
        let arrow = arrow.map(|arrow| vec![KeyValue::new("ARROW:schema".into(), arrow.to_string())]);
        let properties = WriterProperties::builder().set_key_value_metadata(arrow).build();
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<T>().write_batch(&[value], Some(&[1, 0]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let rows = read(bytes.into()).map_err(|fault| fault.to_string())?;
        match rows[0]["x"].clone() {
            Cell::Refused(why) => Err(why.to_string()),
            _ if rows[1]["x"] != Cell::Null => Err(format!("{:?} for a null", rows[1]["x"])),
            cell => Ok([literal::str(&cell), literal::str(&Cell::List(vec![cell]))]),
        }
    }

    /// pyarrow 26: x: duration[us].
    const DURATION: &str = "/////3AAAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAEAAAAUAAAAEAAUAAgA\
         BgAHAAwAAAAQABAAAAAAAAESEAAAABgAAAAEAAAAAAAAAAEAAAB4AAYACAAGAAYAAAAAAAIA";
    /// pyarrow 26: x: timestamp[us, tz=Europe/Berlin].
    const BERLIN: &str = "/////5AAAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAEAAAAUAAAAEAAUAAgA\
         BgAHAAwAAAAQABAAAAAAAAEKEAAAABwAAAAEAAAAAAAAAAEAAAB4AAAACAAMAAYACAAIAAAAAAACAAQAAAANAAAA\
         RXVyb3BlL0JlcmxpbgAAAAAAAAA=";

    /// Expected: `datasets` 5.2 over pyarrow 26.
    #[test]
    fn times_are_python_s() {
        let long = |column, arrow, value| shown::<Int64Type>(column, arrow, value).unwrap();
        let day = "2024-01-05 10:00:00";
        let datetime = "[datetime.datetime(2024, 1, 5, 10, 0)]";
        let utc = "[datetime.datetime(2024, 1, 5, 10, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC'))]";
        for (column, value, str, repr) in [
            ("int64 x (TIMESTAMP_MILLIS)", 1_704_448_800_000, day, datetime),
            ("int64 x (TIMESTAMP(MICROS,false))", 1_704_448_800_000_000, day, datetime),
            ("int64 x (TIMESTAMP(MICROS,true))", 1_704_448_800_000_000, "2024-01-05 10:00:00+00:00", utc),
            (
                "int64 x (TIMESTAMP(NANOS,false))",
                1_704_448_800_000_000_001,
                "2024-01-05 10:00:00.000000001",
                "[Timestamp('2024-01-05 10:00:00.000000001')]",
            ),
            (
                "int64 x (TIME(NANOS,false))",
                36_005_123_456_000,
                "10:00:05.123456",
                "[datetime.time(10, 0, 5, 123456)]",
            ),
            ("int64 x (DECIMAL(15,2))", -5, "-0.05", "[Decimal('-0.05')]"),
            ("int64 x (INTEGER(64,false))", -1, "18446744073709551615", "[18446744073709551615]"),
            ("int64 x", 93_784, "93784", "[93784]"),
        ] {
            assert_eq!(long(column, None, value), [str, repr], "{column}");
        }
        let duration = long("int64 x", Some(DURATION), 93_784_000_001);
        assert_eq!(
            duration,
            ["1 day, 2:03:04.000001", "[datetime.timedelta(days=1, seconds=7384, microseconds=1)]"]
        );
        let mut int96 = Int96::new();
        // Nanoseconds of the day, and the Julian day.
        let (nanos, julian) = (36_000_000_000_001u64, 2_460_315);
        int96.set_data(nanos as u32, (nanos >> 32) as u32, julian);
        let int96 = shown::<Int96Type>("int96 x", None, int96).unwrap();
        assert_eq!(int96[1], "[Timestamp('2024-01-05 10:00:00.000000001')]");
    }

    #[test]
    fn other_kinds_are_python_s() {
        let bytes = |column| shown::<ByteArrayType>(column, None, "it's".into()).unwrap();
        assert_eq!(bytes("binary x"), ["b\"it's\"", "[b\"it's\"]"]);
        assert_eq!(bytes("binary x (ENUM)"), bytes("binary x"));
        assert_eq!(bytes("binary x (STRING)"), ["it's", "[\"it's\"]"]);
        let json = shown::<ByteArrayType>("binary x (JSON)", None, "{\"a\": [1, null]}".into()).unwrap();
        assert_eq!(json[0], "{'a': [1, None]}");
        let day = shown::<Int32Type>("int32 x (DATE)", None, 19_727).unwrap();
        assert_eq!(day, ["2024-01-05", "[datetime.date(2024, 1, 5)]"]);
    }

    #[test]
    fn what_is_not_read_names_its_column() {
        let refused = shown::<Int64Type>("int64 x (TIMESTAMP(MICROS,true))", Some(BERLIN), 0).unwrap_err();
        assert_eq!(
            refused,
            "column `x` holds times of the zone Europe/Berlin, whose offset from UTC is not known here"
        );
        let late = shown::<Int64Type>("int64 x (TIMESTAMP_MILLIS)", None, i64::MAX).unwrap_err();
        assert_eq!(
            late,
            "column `x` holds a date outside of the years 1 to 9999, which Python does not have"
        );
        let interval = vec![0; 12].into();
        let column = "fixed_len_byte_array(12) x (INTERVAL)";
        let refused = shown::<FixedLenByteArrayType>(column, None, interval).unwrap_err();
        assert_eq!(refused, "column `x` holds intervals, which are not read here");
        let damaged = shown::<Int64Type>("int64 x", Some("AAAA"), 0).unwrap_err();
        assert!(damaged.contains("arrow schema is damaged"), "{damaged}");
    }
}

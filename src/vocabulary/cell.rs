//! A value of a dataset row, of the kind that the Python row of the `datasets` library has.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

/// A dataset row: column name to value, in the file's column order.
pub type Row = IndexMap<String, Cell>;

/// A value of a row.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// `None`.
    Null,
    Bool(bool),
    Int(i128),
    /// Also NaN and the infinities.
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Cell>),
    Struct(Row),
    /// A value of a Python class with a form of its own: a date, a time, a decimal number.
    Object(Arc<PythonObject>),
    /// A value of a kind that cannot be given, with what to say where one is needed.
    Refused(Arc<str>),
}

/// A Python object, as far as templates can tell.
#[derive(Debug, Clone, PartialEq)]
pub struct PythonObject {
    pub class: PythonClass,
    /// `str(object)`.
    pub str: String,
    /// `repr(object)`.
    pub repr: String,
    /// Its place among objects of its class and column.
    pub order: i128,
    /// Attributes that are whole numbers, such as `year`.
    pub attributes: Vec<(&'static str, i64)>,
}

/// The class of a [`PythonObject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonClass {
    Date,
    Time,
    DateTime,
    TimeDelta,
    /// `pandas.Timestamp`.
    Timestamp,
    /// `pandas.Timedelta`.
    LongTimeDelta,
    Decimal,
}

impl PythonClass {
    /// Its name in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "datetime",
            Self::TimeDelta => "timedelta",
            Self::Timestamp => "Timestamp",
            Self::LongTimeDelta => "Timedelta",
            Self::Decimal => "Decimal",
        }
    }

    /// Whether an object whose number is 0 is false: a duration and a decimal number, but no date.
    pub fn has_zero(self) -> bool {
        matches!(self, Self::TimeDelta | Self::LongTimeDelta | Self::Decimal)
    }
}

impl Cell {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Cell {
    /// Why the value, or a part of it, is refused.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused(why) => Some(why),
            Self::List(items) => items.iter().find_map(Self::refusal),
            Self::Struct(row) => row.values().find_map(Self::refusal),
            _ => None,
        }
    }

    /// The same value; refused as a whole where a part is, with the name of its column.
    pub fn in_column(self, name: &str) -> Self {
        match self.refusal() {
            Some(why) if !why.starts_with("column ") => {
                Self::Refused(format!("column `{name}` holds {why}").into())
            }
            _ => self,
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Bytes(value) => write!(f, "{value:?}"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Struct(entries) => f.debug_map().entries(entries).finish(),
            Self::Object(object) => f.write_str(&object.repr),
            Self::Refused(why) => write!(f, "<{why}>"),
        }
    }
}

impl From<Json> for Cell {
    fn from(value: Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                whole.map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Int)
            }
            Json::String(text) => Self::Text(text),
            Json::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => Self::Struct(row(entries)),
        }
    }
}

/// A row of JSON values.
pub fn row(entries: serde_json::Map<String, Json>) -> Row {
    entries.into_iter().map(|(name, value)| (name, Cell::from(value))).collect()
}

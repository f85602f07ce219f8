//! A row's values as templates see them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use crate::python::literal::repr_bytes;
use crate::vocabulary::{Cell, PythonClass, PythonObject, Row};

/// A row as a mapping.
pub fn value_of_row(row: &Row) -> Value {
    let entries = row.iter().map(|(name, cell)| (Value::from(name), value_of(cell)));
    Value::from(entries.collect::<IndexMap<Value, Value>>())
}

fn value_of(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::from(()),
        Cell::Bool(value) => Value::from(*value),
        Cell::Int(n) => i64::try_from(*n).map_or_else(|_| Value::from(*n), Value::from),
        Cell::Float(x) => Value::from(*x),
        Cell::Text(text) => Value::from(text),
        Cell::Bytes(bytes) => Value::from_object(Shown::Bytes(bytes.clone())),
        Cell::List(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        Cell::Struct(row) => value_of_row(row),
        Cell::Object(object) => Value::from_object(Shown::Object(object.clone())),
        // An error wherever a template looks at it.
        Cell::Refused(why) => Value::from(Error::new(ErrorKind::InvalidOperation, why.to_string())),
    }
}

/// A Python object that prints itself. Bytes are one too: minijinja takes its own for text.
#[derive(Debug)]
pub enum Shown {
    Object(Arc<PythonObject>),
    Bytes(Vec<u8>),
}

impl Shown {
    /// `repr(object)` where it is inside of a list or a mapping, `str(object)` outside.
    pub fn print(&self, nested: bool, out: &mut String) {
        match self {
            Self::Object(object) => out.push_str(if nested { &object.repr } else { &object.str }),
            Self::Bytes(bytes) => repr_bytes(bytes, out),
        }
    }

    /// Whether Jinja2's test `number` is true of it.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Object(object) if object.class == PythonClass::Decimal)
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Object(object) => object.class.name(),
            Self::Bytes(_) => "bytes",
        }
    }
}

impl Object for Shown {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let Self::Object(object) = &**self else { return None };
        let name = key.as_str()?;
        object.attributes.iter().find(|(attribute, _)| *attribute == name).map(|(_, n)| Value::from(*n))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        match &**self {
            Self::Object(object) => object.order != 0 || !object.class.has_zero(),
            Self::Bytes(bytes) => !bytes.is_empty(),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        use PythonClass::{Date, DateTime, Time, Timestamp};
        let failed = |what: String| Error::new(ErrorKind::InvalidOperation, what);
        match (&**self, method) {
            (Self::Object(object), "isoformat") if args.is_empty() => match object.class {
                DateTime | Timestamp => return Ok(Value::from(object.str.replacen(' ', "T", 1))),
                Date | Time => return Ok(Value::from(&object.str)),
                _ => {}
            },
            (Self::Bytes(bytes), "decode") if args.is_empty() => {
                let text = std::str::from_utf8(bytes);
                return text.map(Value::from).map_err(|_| failed("the bytes are no UTF-8".into()));
            }
            _ => {}
        }
        Err(failed(format!("`.{method}` of a {} with these arguments is not done here", self.class())))
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        match (&**self, other.downcast_ref::<Self>()?) {
            (Self::Object(one), Self::Object(other)) => {
                (one.class == other.class).then(|| one.order.cmp(&other.order))
            }
            (Self::Bytes(one), Self::Bytes(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.print(false, &mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::python::calendar::{Unit, date, timestamp};
    use crate::python::decimal::decimal;
    use crate::task::{Columns, Place, Template};
    use crate::vocabulary::{Cell, Row};

    fn row() -> Row {
        let cells = [
            ("nan", Cell::Float(f64::NAN)),
            ("inf", Cell::Float(f64::NEG_INFINITY)),
            ("b", Cell::Bytes(b"abc".to_vec())),
            ("ts", timestamp(1_704_448_800, Unit::Second, None)),
            ("d", date(19_727)),
            ("dec", decimal(&[0, 150], 2)),
            ("zero", decimal(&[0], 2)),
            ("u", Cell::Int(u64::MAX.into())),
            ("bad", Cell::Refused("column `bad` holds maps".into())),
        ];
        cells.into_iter().map(|(name, cell)| (name.to_string(), cell)).collect()
    }

    fn render(source: &str) -> Result<String, String> {
        let place = Place { path: Path::new("t.yaml").into(), line: 1, column: 1 };
        let template = Template::new(source, &place, false).map_err(|e| e.to_string())?;
        template.render(&Columns::new(row())).map_err(|e| e.to_string())
    }

    /// Expected: Jinja2 3.1 over the rows of `datasets` 5.2.
    #[test]
    fn objects_print_as_in_jinja2() {
        for (source, expected) in [
            (
                "{{nan}} {{inf}} {{[nan]}} {{nan|string}} {{[nan, inf]|join(',')}}",
                "nan -inf [nan] nan nan,-inf",
            ),
            ("{{nan|int(7)}} {{[nan, inf]|tojson}} {{nan == nan}}", "7 [NaN, -Infinity] False"),
            ("{{b}} {{[b]}} {{b ~ ''}} {{b|upper}} {{b == 'abc'}}", "b'abc' [b'abc'] b'abc' B'ABC' False"),
            ("{{b.decode()}} {{'%s' % b}} {{b is string}}", "abc b'abc' False"),
            (
                "{{ts}} {{ts ~ '!'}} {{ts.year}} {{ts.isoformat()}}",
                "2024-01-05 10:00:00 2024-01-05 10:00:00! 2024 2024-01-05T10:00:00",
            ),
            (
                "{{[ts]}} {{ {'a': d} }}",
                "[datetime.datetime(2024, 1, 5, 10, 0)] {'a': datetime.date(2024, 1, 5)}",
            ),
            (
                "{{d|replace('-', '/')}} {{[d, d]|join(' ')}} {{d == d}} {{d in ['2024-01-05']}}",
                "2024/01/05 2024-01-05 2024-01-05 True False",
            ),
            ("{{dec}} {{[dec]}} {{dec > zero}} {{dec is number}}", "1.50 [Decimal('1.50')] True True"),
            ("{{'y' if dec else 'n'}} {{'y' if zero else 'n'}} {{'y' if d else 'n'}}", "y n y"),
            ("{{u}} {{1e20|string}}", "18446744073709551615 1e+20"),
        ] {
            assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_is_not_done_is_an_error() {
        for source in [
            "{{dec + 1}}",
            "{{dec|float}}",
            "{{ts.strftime('%Y')}}",
            "{{b|length}}",
            "{{d|tojson}}",
            "{{inf|int}}",
        ] {
            assert!(render(source).is_err(), "{source}");
        }
        for source in [
            "{{bad}}",
            "{{bad|string}}",
            "{% if bad %}x{% endif %}",
            "{{bad == 1}}",
            "{{[bad]}}",
            "{{bad.x}}",
        ] {
            let error = render(source).unwrap_err();
            assert!(error.contains("column `bad` holds maps"), "{source}: {error}");
        }
        let place = Place { path: Path::new("t.yaml").into(), line: 1, column: 1 };
        let column = Template::new("bad", &place, false).unwrap().value(&Columns::new(row()));
        assert!(column.unwrap_err().to_string().contains("column `bad` holds maps"));
    }
}

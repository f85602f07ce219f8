//! Values of templates, printed as Python prints them.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::cell_value::Shown;
use super::size_limits::MAX_RENDERED;
use crate::python::literal;

/// `str(value)`, or `repr(value)` where `nested`.
pub fn python_str(value: &Value, nested: bool, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > 32 || out.len() > MAX_RENDERED {
        return Err(Error::new(ErrorKind::InvalidOperation, "the value is too deep or too long to print"));
    }
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if value.is_integer() => {
            let _ = write!(out, "{value}");
        }
        ValueKind::Number => {
            let float = f64::try_from(value.clone())?;
            out.push_str(&literal::repr_float(float));
        }
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if nested { literal::repr_str(text, out) } else { out.push_str(text) }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            let mut length = 0;
            for item in value.try_iter()? {
                if length > 0 {
                    out.push_str(", ");
                }
                python_str(&item, true, depth + 1, out)?;
                length += 1;
            }
            out.push_str(match (tuple, length) {
                (true, 1) => ",)",
                (true, _) => ")",
                (false, _) => "]",
            });
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                python_str(&key, true, depth + 1, out)?;
                out.push_str(": ");
                python_str(&value.get_item(&key)?, true, depth + 1, out)?;
            }
            out.push('}');
        }
        ValueKind::Invalid => return Err(Error::new(ErrorKind::InvalidOperation, value.to_string())),
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        _ => match value.downcast_object_ref::<Shown>() {
            Some(object) => object.print(nested, out),
            None => {
                let _ = write!(out, "{value}");
            }
        },
    }
    Ok(())
}

/// `repr(value)`, for messages.
pub fn shown(value: &Value) -> String {
    let mut out = String::new();
    match value.as_str() {
        Some(text) => literal::repr_str(text, &mut out),
        None => {
            let _ = python_str(value, true, 0, &mut out);
        }
    }
    out
}

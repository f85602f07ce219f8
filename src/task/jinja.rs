//! The template engine minijinja, configured to behave as Jinja2.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::cell_value::Shown;
use super::python_methods::python_method;
use super::python_print::python_str;
use super::size_limits::FUEL;
use super::{filters, percent};

/// The environment that every template starts from.
pub fn base_environment() -> &'static Environment<'static> {
    static BASE: OnceLock<Environment<'static>> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(print_as_python);
        environment.set_unknown_method_callback(python_method);
        environment.add_filter(percent::FILTER, percent::apply);
        filters::add(&mut environment);
        environment.add_function("joiner", |separator: Option<String>| {
            let separator = separator.unwrap_or_else(|| ", ".to_string());
            Value::from_object(Joiner { separator, used: AtomicBool::new(false) })
        });
        // In Python a sequence is anything with a length that can be indexed: strings and dicts too.
        environment.add_test("sequence", |value: &Value| {
            matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
        });
        environment.add_test("number", |value: &Value| {
            let object = value.downcast_object_ref::<Shown>();
            matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
                || object.is_some_and(Shown::is_number)
        });
        environment
    })
}

/// Jinja2's `joiner`: empty on the first call, the separator on every later one.
#[derive(Debug)]
struct Joiner {
    separator: String,
    used: AtomicBool,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        let first = !self.used.swap(true, Ordering::Relaxed);
        Ok(if first { Value::from("") } else { Value::from(self.separator.as_str()) })
    }
}

fn print_as_python(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    // Only an inline `if` without `else` can be undefined here; Jinja2 prints nothing for it.
    if value.is_undefined() {
        return Ok(());
    }
    let mut text = String::new();
    python_str(value, false, 0, &mut text)?;
    out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "the output cannot be written"))
}

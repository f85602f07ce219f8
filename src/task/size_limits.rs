//! Limits on what a template may compute and print.
//!
//! minijinja charges fuel for its own steps and for every byte of a result, but sees the result of one of our
//! methods or filters only once it exists. So those that can produce more text than they are given check here
//! first.

use std::io;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

/// Steps after which a template is considered endless; 64 bytes of text count as one. A prompt takes a few
/// hundred.
pub const FUEL: u64 = 1_000_000;

/// Maximum bytes of one rendered text: more than any model's context holds.
pub const MAX_RENDERED: usize = 16 << 20;

/// Steps charged for a regular expression search, which may have to be compiled.
const PATTERN_COST: u64 = 1000;

/// Steps of a search that count as one of the template.
const SEARCH_STEPS: u64 = 1000;

/// Maximum nesting depth of a printed value.
const MAX_DEPTH: usize = 32;

/// The error for a text or list that would be too long.
pub fn too_long() -> Error {
    let what = format!("a text or list would be longer than {MAX_RENDERED} bytes");
    Error::new(ErrorKind::InvalidOperation, what)
}

/// Checks that a text of `bytes` bytes is not too long.
pub fn allow(bytes: usize) -> Result<(), Error> {
    if bytes <= MAX_RENDERED { Ok(()) } else { Err(too_long()) }
}

/// Charges fuel for reading `bytes` bytes of text.
pub fn charge(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64)
}

/// Charges fuel for a regular expression search that took so many steps.
pub fn charge_pattern(state: &State, steps: u64) -> Result<(), Error> {
    state.consume_fuel(PATTERN_COST + steps / SEARCH_STEPS)
}

/// Approximate bytes of `value` when printed; an error if they are too many.
pub fn printed_size(value: &Value) -> Result<usize, Error> {
    fn add(value: &Value, depth: usize, size: &mut usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_long());
        }
        *size += value.as_str().map_or(4, str::len);
        allow(*size)?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                for item in value.try_iter()? {
                    add(&item, depth + 1, size)?;
                }
            }
            ValueKind::Map => {
                for key in value.try_iter()? {
                    add(&key, depth + 1, size)?;
                    add(&value.get_item(&key)?, depth + 1, size)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
    let mut size = 0;
    add(value, 0, &mut size)?;
    Ok(size)
}

/// Charges fuel for printing `value` if it is a list or a mapping.
pub fn charge_printed(state: &State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => charge(state, printed_size(value)?),
        _ => Ok(()),
    }
}

/// Rendered output, up to [`MAX_RENDERED`] bytes.
#[derive(Default)]
pub struct Rendered {
    bytes: Vec<u8>,
    /// Whether the output exceeded the limit.
    pub full: bool,
}

impl Rendered {
    /// The text. It is valid UTF-8, as minijinja writes whole characters.
    pub fn into_text(self) -> String {
        String::from_utf8(self.bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

impl io::Write for Rendered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_RENDERED {
            self.full = true;
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

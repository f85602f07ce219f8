//! How much a template may do and write.
//!
//! The engine charges fuel for its own steps and for every byte of a result, but sees the result of a method or filter of ours
//! only when it is there; so those that make more text than they were given ask here first.

use std::io;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

/// Steps after which a template is held to be endless; 64 bytes of text count as one. A prompt takes some hundreds.
pub const FUEL: u64 = 1_000_000;

/// Bytes that one rendered text may have: more than any model's context holds.
pub const MAX_RENDERED: usize = 16 << 20;

/// Steps that a regular expression counts as: it may try about as many ways before it gives up.
const PATTERN_COST: u64 = 1000;

/// Values inside values that are printed.
const MAX_DEPTH: usize = 32;

/// The error of a text or list that is not made.
pub fn too_long() -> Error {
    let what = format!("a text or list would be longer than {MAX_RENDERED} bytes");
    Error::new(ErrorKind::InvalidOperation, what)
}

/// That a text of `bytes` may be made.
pub fn allow(bytes: usize) -> Result<(), Error> {
    if bytes <= MAX_RENDERED { Ok(()) } else { Err(too_long()) }
}

/// Charges for reading `bytes` of a text.
pub fn charge(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64)
}

/// Charges for a search with a regular expression.
pub fn charge_pattern(state: &State) -> Result<(), Error> {
    state.consume_fuel(PATTERN_COST)
}

/// About the bytes of `value` when it is printed; an error where they are too many.
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

/// Charges for printing `value` where it is more than a text or a number.
pub fn charge_printed(state: &State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => charge(state, printed_size(value)?),
        _ => Ok(()),
    }
}

/// What is rendered, up to [`MAX_RENDERED`].
#[derive(Default)]
pub struct Rendered {
    bytes: Vec<u8>,
    /// Whether there was more.
    pub full: bool,
}

impl Rendered {
    /// The text; the engine writes whole characters.
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

//! The Arrow schema that writers leave in a parquet file, as far as parquet's own types do not say the same: time
//! zones, durations, extensions.
//!
//! It is a flatbuffer (<https://arrow.apache.org/docs/format/Columnar.html>, `Schema.fbs`) in base64. Every offset
//! is held against the bytes, and a damaged schema is an error.

/// A field of the schema.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct ArrowField {
    pub name: String,
    pub kind: ArrowKind,
    pub children: Vec<ArrowField>,
}

/// What is read of a field's type.
#[derive(Debug, Default, Clone, PartialEq)]
pub enum ArrowKind {
    #[default]
    Other,
    /// With its time zone.
    Timestamp(Option<String>),
    /// 0 to 3: seconds to nanoseconds.
    Duration(i16),
    /// A type of its own over another, by its name.
    Extension(String),
}

const MAX_DEPTH: usize = 64;

/// Reads the value of the key `ARROW:schema` of a file's metadata.
pub fn read(base64: &str) -> Result<Vec<ArrowField>, String> {
    schema(base64).ok_or_else(|| "the file's arrow schema is damaged".to_string())
}

fn schema(base64: &str) -> Option<Vec<ArrowField>> {
    let bytes = decode(base64)?;
    // A message begins with its length, since Arrow 0.15 after a marker of four bytes.
    let bytes = bytes.strip_prefix(&[0xff; 4]).unwrap_or(&bytes).get(4..)?;
    let buffer = Buffer { bytes };
    let message = buffer.table(0)?;
    let schema = buffer.child(message, 2)??;
    // Every field and every text takes its bytes; a damaged schema may point to the same ones again and again.
    let mut left = 4 * buffer.bytes.len();
    fields(buffer, schema, 1, 0, &mut left)
}

fn fields(
    buffer: Buffer<'_>,
    table: usize,
    slot: usize,
    depth: usize,
    left: &mut usize,
) -> Option<Vec<ArrowField>> {
    if depth > MAX_DEPTH {
        return None;
    }
    let Some(vector) = buffer.child(table, slot)? else { return Some(Vec::new()) };
    let length = buffer.u32(vector)? as usize;
    *left = left.checked_sub(length)?;
    (0..length)
        .map(|i| {
            let field = buffer.table(vector + 4 + 4 * i)?;
            let name = buffer.text(field, 0, left)?.unwrap_or_default();
            let children = fields(buffer, field, 5, depth + 1, left)?;
            let kind = match (extension(buffer, field, left)?, buffer.byte(field, 2)?) {
                (Some(name), _) => ArrowKind::Extension(name),
                (None, 10) => {
                    let kind = buffer.child(field, 3)??;
                    ArrowKind::Timestamp(buffer.text(kind, 1, left)?)
                }
                (None, 18) => {
                    let kind = buffer.child(field, 3)??;
                    let unit = buffer.slot(kind, 0)?;
                    ArrowKind::Duration(unit.map_or(Some(1), |at| buffer.i16(at))?)
                }
                _ => ArrowKind::Other,
            };
            Some(ArrowField { name, kind, children })
        })
        .collect()
}

/// The name of the extension type that a field has.
fn extension(buffer: Buffer<'_>, field: usize, left: &mut usize) -> Option<Option<String>> {
    let Some(pairs) = buffer.child(field, 6)? else { return Some(None) };
    let length = buffer.u32(pairs)? as usize;
    *left = left.checked_sub(length)?;
    for i in 0..length {
        let pair = buffer.table(pairs + 4 + 4 * i)?;
        if buffer.text(pair, 0, left)?.as_deref() == Some("ARROW:extension:name") {
            return buffer.text(pair, 1, left);
        }
    }
    Some(None)
}

/// The methods return `None` if an offset leads out of the bytes.
#[derive(Clone, Copy)]
struct Buffer<'a> {
    bytes: &'a [u8],
}

impl Buffer<'_> {
    fn u32(self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    fn i16(self, at: usize) -> Option<i16> {
        Some(i16::from_le_bytes(self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
    }

    /// The position that the offset at `at` leads to.
    fn table(self, at: usize) -> Option<usize> {
        at.checked_add(self.u32(at)? as usize).filter(|to| *to < self.bytes.len())
    }

    /// The position of a table's value; `None` inside if it is left out.
    fn slot(self, table: usize, slot: usize) -> Option<Option<usize>> {
        let back = self.u32(table)? as i32;
        let layout = usize::try_from(i64::try_from(table).ok()? - i64::from(back)).ok()?;
        let size = self.i16(layout)? as u16 as usize;
        let entry = 4 + 2 * slot;
        if entry + 2 > size {
            return Some(None);
        }
        let offset = self.i16(layout.checked_add(entry)?)? as u16 as usize;
        Some((offset > 0).then_some(table + offset))
    }

    fn child(self, table: usize, slot: usize) -> Option<Option<usize>> {
        match self.slot(table, slot)? {
            Some(at) => self.table(at).map(Some),
            None => Some(None),
        }
    }

    fn byte(self, table: usize, slot: usize) -> Option<u8> {
        match self.slot(table, slot)? {
            Some(at) => self.bytes.get(at).copied(),
            None => Some(0),
        }
    }

    fn text(self, table: usize, slot: usize, left: &mut usize) -> Option<Option<String>> {
        let Some(at) = self.child(table, slot)? else { return Some(None) };
        let length = self.u32(at)? as usize;
        *left = left.checked_sub(length)?;
        let bytes = self.bytes.get(at + 4..(at + 4).checked_add(length)?)?;
        String::from_utf8(bytes.to_vec()).ok().map(Some)
    }
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for c in base64.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pyarrow 26: d: duration[us], t: timestamp[us, tz=+05:30], l: list<struct<s: duration[s], n: int64>>,
    /// j: arrow.json.
    const FOUR: &str = "/////zACAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAQAAADUAQAAgAEAAMQA\
         AAAYAAAAAAASABgACAAGAAcADAAAABAAFAASAAAAAAABBRQAAACYAAAACAAAABAAAAAAAAAAAQAAAGoAAAACAAAA\
         SAAAAAQAAADI////GAAAAAQAAAAKAAAAYXJyb3cuanNvbgAAFAAAAEFSUk9XOmV4dGVuc2lvbjpuYW1lAAAAAAgA\
         DAAEAAgACAAAABAAAAAEAAAAAAAAAAAAAAAYAAAAQVJST1c6ZXh0ZW5zaW9uOm1ldGFkYXRhAAAAAKj///8I////\
         AAABDBQAAAAYAAAABAAAAAEAAAAQAAAAAQAAAGwAAADQ////MP///wAAAQ0YAAAAJAAAAAQAAAACAAAAUAAAABgA\
         AAAEAAAAaXRlbQAAAAAEAAQABAAAAGT///8AAAECEAAAABwAAAAEAAAAAAAAAAEAAABuAAAACAAMAAgABwAIAAAA\
         AAAAAUAAAACY////AAABEhAAAAAUAAAABAAAAAAAAAABAAAAcwAAAIr///8AAAAAwP///wAAAQoQAAAAHAAAAAQA\
         AAAAAAAAAQAAAHQAAAAIAAwABgAIAAgAAAAAAAIABAAAAAYAAAArMDU6MzAAABAAFAAIAAYABwAMAAAAEAAQAAAA\
         AAABEhAAAAAYAAAABAAAAAAAAAABAAAAZAAGAAgABgAGAAAAAAACAA==";

    fn field(name: &str, kind: ArrowKind, children: Vec<ArrowField>) -> ArrowField {
        ArrowField { name: name.into(), kind, children }
    }

    #[test]
    fn what_parquet_does_not_say_is_read() {
        use ArrowKind::{Duration, Extension, Other, Timestamp};
        let item = field("item", Other, vec![field("s", Duration(0), vec![]), field("n", Other, vec![])]);
        let expected = [
            field("d", Duration(2), vec![]),
            field("t", Timestamp(Some("+05:30".into())), vec![]),
            field("l", Other, vec![item]),
            field("j", Extension("arrow.json".into()), vec![]),
        ];
        assert_eq!(read(FOUR).unwrap(), expected);
    }

    #[test]
    fn damage_is_an_error_or_another_schema() {
        assert_eq!(read("").unwrap_err(), "the file's arrow schema is damaged");
        assert_eq!(read("!").unwrap_err(), "the file's arrow schema is damaged");
        for at in 0..FOUR.len() {
            let _ = read(&FOUR[..at]);
            for letter in ["A", "/", "g", "B"] {
                let mut damaged = FOUR.to_string();
                damaged.replace_range(at..at + 1, letter);
                let _ = read(&damaged);
            }
        }
    }
}

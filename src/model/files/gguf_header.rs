//! The header of a GGUF file, read from front to back.
//!
//! Every count and length is checked against the remaining bytes before memory is allocated for it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::encoding::Encoding;
use super::gguf_value::{GgufError, GgufTensor, GgufValue};

const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_DIMENSIONS: u32 = 4;
/// Maximum elements of all arrays together, above any vocabulary with its merges. It is bounded since an
/// element takes more memory here than in the file.
const MAX_ELEMENTS: usize = 1 << 22;
/// Maximum number of tensors, of metadata values, and of elements of one array.
const MAX_COUNT: u64 = MAX_ELEMENTS as u64;
/// Maximum bytes of a header; the largest vocabularies have some tens of MiB.
const MAX_HEADER: u64 = 256 << 20;

/// Reads a header from front to back.
pub struct Reader<'a, R> {
    path: &'a Path,
    source: R,
    at: u64,
    /// Bytes of the file.
    length: u64,
    /// Elements of all arrays so far.
    elements: usize,
}

/// Why a header can't be read.
pub enum HeaderError {
    /// Its contents are invalid.
    Gguf(GgufError),
    /// Reading the source fails at byte `at`.
    Read { at: u64, reason: io::Error },
}

impl HeaderError {
    /// The error of a source that is no open file; `path` is for messages.
    pub fn of(self, path: &Path) -> GgufError {
        match self {
            HeaderError::Gguf(error) => error,
            HeaderError::Read { reason, .. } => GgufError::Open { path: path.to_owned(), reason },
        }
    }
}

type Read<T> = Result<T, HeaderError>;
type Values = BTreeMap<String, GgufValue>;
type Tensors = BTreeMap<String, GgufTensor>;

impl<'a, R: io::Read> Reader<'a, R> {
    /// A reader of `source`, which has `length` bytes.
    pub fn new(path: &'a Path, source: R, length: u64) -> Self {
        Self { path, source, at: 0, length, elements: 0 }
    }

    fn damaged(&self, what: String) -> HeaderError {
        HeaderError::Gguf(GgufError::Damaged { path: self.path.to_owned(), what })
    }

    fn unsupported(&self, what: String) -> HeaderError {
        HeaderError::Gguf(GgufError::Unsupported { path: self.path.to_owned(), what })
    }

    fn left(&self) -> u64 {
        self.length - self.at
    }

    /// Checks that `count` more bytes fit in the file and in [`MAX_HEADER`].
    fn check(&self, count: u64) -> Read<()> {
        if count > self.left() {
            return Err(self.damaged(format!(
                "header needs {count} bytes at offset {}, the file has {} left",
                self.at,
                self.left()
            )));
        }
        if count > MAX_HEADER.saturating_sub(self.at) {
            return Err(self.damaged(format!("header of more than {MAX_HEADER} bytes")));
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Read<()> {
        let at = self.at;
        self.source.read_exact(bytes).map_err(|reason| HeaderError::Read { at, reason })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn word<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.check(N as u64)?;
        let mut word = [0; N];
        self.fill(&mut word)?;
        Ok(word)
    }

    fn u32(&mut self) -> Read<u32> {
        self.word().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Read<u64> {
        self.word().map(u64::from_le_bytes)
    }

    /// Reads a count of items of at least `least` bytes each, which must fit in the remaining bytes.
    fn count(&mut self, of: &str, least: u64) -> Read<usize> {
        let count = self.u64()?;
        match count.checked_mul(least) {
            Some(bytes) if bytes <= self.left() && count <= MAX_COUNT => Ok(count as usize),
            _ => Err(self
                .damaged(format!("header declares {count} {of}, the file has {} bytes left", self.left()))),
        }
    }

    fn string(&mut self) -> Read<String> {
        let length = self.u64()?;
        let at = self.at;
        self.check(length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) => {
                Err(self.damaged(format!("string at offset {at} is not UTF-8: {}", error.utf8_error())))
            }
        }
    }

    fn value(&mut self, kind: u32, in_array: bool) -> Read<GgufValue> {
        Ok(match kind {
            0 => GgufValue::Unsigned(u8::from_le_bytes(self.word()?).into()),
            1 => GgufValue::Signed(i8::from_le_bytes(self.word()?).into()),
            2 => GgufValue::Unsigned(u16::from_le_bytes(self.word()?).into()),
            3 => GgufValue::Signed(i16::from_le_bytes(self.word()?).into()),
            4 => GgufValue::Unsigned(self.u32()?.into()),
            5 => GgufValue::Signed(i32::from_le_bytes(self.word()?).into()),
            6 => GgufValue::Float(f32::from_le_bytes(self.word()?).into()),
            7 => GgufValue::Bool(match self.word::<1>()? {
                [0] => false,
                [1] => true,
                [other] => return Err(self.damaged(format!("truth value {other}, expected 0 or 1"))),
            }),
            8 => GgufValue::String(self.string()?),
            9 if !in_array => {
                let kind = self.u32()?;
                let least = match kind {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    _ => 8,
                };
                let count = self.count("array elements", least)?;
                self.elements = self.elements.saturating_add(count);
                if self.elements > MAX_ELEMENTS {
                    let what =
                        format!("arrays of {} elements, expected at most {MAX_ELEMENTS}", self.elements);
                    return Err(self.damaged(what));
                }
                // Not reserved in advance: a value takes more memory than its minimum bytes in the file.
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(kind, true)?);
                }
                GgufValue::Array(values)
            }
            10 => GgufValue::Unsigned(self.u64()?),
            11 => GgufValue::Signed(i64::from_le_bytes(self.word()?)),
            12 => GgufValue::Float(f64::from_le_bytes(self.word()?)),
            _ => return Err(self.damaged(format!("value type {kind} at offset {}", self.at))),
        })
    }

    /// Reads the metadata, and the descriptions of the tensors.
    pub fn file(mut self) -> Read<(Values, Tensors)> {
        if self.word::<4>()? != *b"GGUF" {
            return Err(self.damaged("it does not begin with `GGUF`".to_owned()));
        }
        let version = self.u32()?;
        if !matches!(version, 2 | 3) {
            let what = format!("GGUF version {version}, expected 2 or 3, little-endian");
            return Err(self.unsupported(what));
        }
        // The minimum bytes of a tensor's description, and of a key with its value.
        let tensor_count = self.count("tensors", 24)?;
        let value_count = self.count("metadata values", 13)?;
        let mut values = BTreeMap::new();
        for _ in 0..value_count {
            let key = self.string()?;
            let kind = self.u32()?;
            let value = self.value(kind, false)?;
            if values.insert(key.clone(), value).is_some() {
                return Err(self.damaged(format!("metadata `{key}` is declared twice")));
            }
        }
        let mut described = Vec::new();
        for _ in 0..tensor_count {
            described.push(self.tensor()?);
        }
        let alignment = match values.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(value) => value
                .whole()
                .filter(|a| a.is_power_of_two() && (8..=1 << 20).contains(a))
                .ok_or_else(|| {
                    self.damaged(format!(
                        "general.alignment is {}, expected a power of two from 8",
                        value.shown()
                    ))
                })?,
        };
        let start = self.at.next_multiple_of(alignment);
        let tensors = self.place(described, start, alignment)?;
        Ok((values, tensors))
    }

    /// Reads name, encoding, shape, offset and bytes of a tensor.
    fn tensor(&mut self) -> Read<(String, Encoding, Vec<usize>, u64, u64)> {
        let name = self.string()?;
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(self.damaged(format!(
                "tensor `{name}` has {dimensions} dimensions, expected 1 to {MAX_DIMENSIONS}"
            )));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        let kind = self.u32()?;
        let offset = self.u64()?;
        let Some(encoding) = Encoding::of_ggml(kind) else {
            let what = format!(
                "tensor `{name}` has type {kind}, expected F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K"
            );
            return Err(self.unsupported(what));
        };
        // A block doesn't cross rows; a row is GGUF's first dimension.
        let (block, block_bytes) = encoding.block();
        let block = block as u64;
        let count = shape.iter().try_fold(1u64, |count, &n| count.checked_mul(n));
        let bytes = count.and_then(|count| (count / block).checked_mul(block_bytes as u64));
        match bytes {
            Some(bytes) if shape[0].is_multiple_of(block) && bytes <= self.length => {
                // With a dimension of 0 the others would be unbounded; no model has one.
                if bytes == 0 {
                    return Err(self.damaged(format!("tensor `{name}` is empty: {shape:?}")));
                }
                let shape = shape.iter().rev().map(|&n| n as usize).collect();
                Ok((name, encoding, shape, offset, bytes))
            }
            _ => {
                Err(self.damaged(format!("tensor `{name}` of {encoding} {shape:?} does not fit in the file")))
            }
        }
    }

    fn place(
        &self,
        described: Vec<(String, Encoding, Vec<usize>, u64, u64)>,
        start: u64,
        alignment: u64,
    ) -> Read<Tensors> {
        let length = self.length.saturating_sub(start);
        let mut tensors = BTreeMap::new();
        let mut ranges = Vec::new();
        for (name, encoding, shape, offset, bytes) in described {
            if !offset.is_multiple_of(alignment) || offset.checked_add(bytes).is_none_or(|end| end > length) {
                return Err(self.damaged(format!(
                    "tensor `{name}` is at offset {offset} with {bytes} bytes, the data has {length}"
                )));
            }
            let begin = start + offset;
            let range = begin..begin + bytes;
            ranges.push((range.start, range.end, name.clone()));
            if tensors.insert(name.clone(), GgufTensor { file: 0, encoding, shape, range }).is_some() {
                return Err(self.damaged(format!("tensor `{name}` is declared twice")));
            }
        }
        ranges.sort();
        if let Some(pair) = ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            return Err(self.damaged(format!("tensors `{}` and `{}` overlap", pair[0].2, pair[1].2)));
        }
        Ok(tensors)
    }
}

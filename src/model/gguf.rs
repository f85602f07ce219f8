//! The GGUF format, version 2 and 3: key-value metadata, tensor descriptions, and the tensors' blocks.
//!
//! Every count and length is held against the bytes that are left before anything is allocated by its word:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;

use super::mapped_file::MappedFile;

/// What is wrong with a GGUF file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum GgufError {
    /// It can't be opened.
    #[error("cannot read {}: {reason}", path.display())]
    #[diagnostic(code(assay::input), help("check that the file exists and can be read"))]
    Open {
        /// The file.
        path: PathBuf,
        /// From the system.
        reason: std::io::Error,
    },
    /// It breaks the format.
    #[error("{}: damaged GGUF file: {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("the file is cut off or corrupt; fetch it again and compare its size with the publisher's")
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// A version or a number format that isn't read.
    #[error("{}: {what}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("export the model again as F32, F16, BF16, Q8_0 or a K-quant with a recent llama.cpp")
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found and what is read.
        what: String,
    },
    /// A metadata key that is needed.
    #[error("{}: metadata `{key}` is {found}, expected {expected}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("the file lacks what its model needs; export it again with a recent llama.cpp")
    )]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
}

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum GgufValue {
    /// Of any unsigned type.
    Unsigned(u64),
    /// Of any signed type.
    Signed(i64),
    /// Of either width.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// UTF-8.
    String(String),
    /// Of one type; arrays of arrays are refused, as no model has them.
    Array(Vec<GgufValue>),
}

impl GgufValue {
    fn shown(&self) -> String {
        match self {
            GgufValue::Unsigned(n) => n.to_string(),
            GgufValue::Signed(n) => n.to_string(),
            GgufValue::Float(n) => n.to_string(),
            GgufValue::Bool(b) => b.to_string(),
            GgufValue::String(s) => format!("{:?}", s.chars().take(60).collect::<String>()),
            GgufValue::Array(values) => format!("an array of {}", values.len()),
        }
    }

    fn whole(&self) -> Option<u64> {
        match *self {
            GgufValue::Unsigned(n) => Some(n),
            GgufValue::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }
}

/// The metadata of a GGUF file, in plain types.
#[derive(Debug, Clone)]
pub struct GgufMetadata {
    path: PathBuf,
    values: BTreeMap<String, GgufValue>,
}

impl GgufMetadata {
    /// Reads the metadata of the file at `path`.
    ///
    /// # Errors
    /// Where the file can't be read or its header is damaged.
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        GgufFile::open(path).map(|file| file.metadata)
    }

    /// Metadata from elsewhere than a file; `path` is for messages.
    pub fn from_values(path: &Path, values: BTreeMap<String, GgufValue>) -> Self {
        Self { path: path.to_owned(), values }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// A value as it stands, for messages; "missing" where it doesn't.
    pub fn shown(&self, key: &str) -> String {
        self.values.get(key).map_or_else(|| "missing".to_owned(), GgufValue::shown)
    }

    /// That `key` is not `expected`.
    pub fn wrong(&self, key: &str, expected: &'static str) -> GgufError {
        GgufError::Metadata { path: self.path.clone(), key: key.to_owned(), found: self.shown(key), expected }
    }

    fn optional<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a GgufValue) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        self.values.get(key).map(|value| read(value).ok_or_else(|| self.wrong(key, expected))).transpose()
    }

    /// A whole number, where the key is there.
    pub fn whole(&self, key: &str) -> Result<Option<u64>, GgufError> {
        self.optional(key, "a whole number", GgufValue::whole)
    }

    /// A number, where the key is there.
    pub fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.optional(key, "a finite number", |value| match *value {
            GgufValue::Float(n) => Some(n).filter(|n| n.is_finite()),
            _ => value.whole().map(|n| n as f64),
        })
    }

    /// A truth value, where the key is there.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.optional(key, "true or false", |value| match value {
            GgufValue::Bool(b) => Some(*b),
            _ => None,
        })
    }

    /// A string, where the key is there.
    pub fn string(&self, key: &str) -> Result<Option<&str>, GgufError> {
        self.optional(key, "a string", string)
    }

    /// An array of strings, where the key is there.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<&str>>, GgufError> {
        self.array(key, "an array of strings", string)
    }

    /// An array of whole numbers, where the key is there.
    pub fn wholes(&self, key: &str) -> Result<Option<Vec<u64>>, GgufError> {
        self.array(key, "an array of whole numbers", GgufValue::whole)
    }

    /// An array of numbers, where the key is there.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, GgufError> {
        self.array(key, "an array of finite numbers", |value| match *value {
            GgufValue::Float(n) if n.is_finite() => Some(n),
            _ => None,
        })
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl Fn(&'a GgufValue) -> Option<T>,
    ) -> Result<Option<Vec<T>>, GgufError> {
        self.optional(key, expected, |value| match value {
            GgufValue::Array(values) => values.iter().map(read).collect(),
            _ => None,
        })
    }
}

fn string(value: &GgufValue) -> Option<&str> {
    match value {
        GgufValue::String(s) => Some(s),
        _ => None,
    }
}

/// Where a tensor lies in its file.
#[derive(Debug, Clone)]
pub(super) struct GgufTensor {
    pub dtype: GgmlDType,
    /// Rows first, as everywhere but in GGUF itself.
    pub shape: Vec<usize>,
    /// Bytes, from the beginning of the file.
    pub range: Range<usize>,
}

/// A file whose header was read and found right.
pub(super) struct GgufFile {
    pub file: MappedFile,
    pub metadata: GgufMetadata,
    pub tensors: BTreeMap<String, GgufTensor>,
}

const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_DIMENSIONS: u32 = 4;
/// Above any vocabulary; an element takes more memory here than in the file.
const MAX_ARRAY: usize = 1 << 22;

impl GgufFile {
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let file =
            MappedFile::open(path).map_err(|reason| GgufError::Open { path: path.to_owned(), reason })?;
        let (values, tensors) = Reader { path, bytes: file.bytes(), at: 0 }.file()?;
        Ok(Self { metadata: GgufMetadata { path: path.to_owned(), values }, file, tensors })
    }
}

/// Reads a header from front to back.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

type Read<T> = Result<T, GgufError>;

impl<'a> Reader<'a> {
    fn damaged(&self, what: String) -> GgufError {
        GgufError::Damaged { path: self.path.to_owned(), what }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let taken = usize::try_from(count).ok().and_then(|count| self.bytes[self.at..].get(..count));
        match taken {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.damaged(format!(
                "header needs {count} bytes at offset {}, the file has {} left",
                self.at,
                self.left()
            ))),
        }
    }

    fn word<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut word = [0; N];
        word.copy_from_slice(self.take(N as u64)?);
        Ok(word)
    }

    fn u32(&mut self) -> Read<u32> {
        self.word().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Read<u64> {
        self.word().map(u64::from_le_bytes)
    }

    /// A count of things of at least `least` bytes each, which must fit in what is left.
    fn count(&mut self, of: &str, least: u64) -> Read<usize> {
        let count = self.u64()?;
        match count.checked_mul(least) {
            Some(bytes) if bytes <= self.left() as u64 => Ok(count as usize),
            _ => Err(self
                .damaged(format!("header declares {count} {of}, the file has {} bytes left", self.left()))),
        }
    }

    fn string(&mut self) -> Read<String> {
        let length = self.u64()?;
        let at = self.at;
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(self.damaged(format!("string at offset {at} is not UTF-8: {error}"))),
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
                if count > MAX_ARRAY {
                    return Err(
                        self.damaged(format!("array of {count} elements, expected at most {MAX_ARRAY}"))
                    );
                }
                // Grown as elements are read: a value takes more memory than its least bytes in the file.
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

    fn file(mut self) -> Read<(BTreeMap<String, GgufValue>, BTreeMap<String, GgufTensor>)> {
        if self.word::<4>()? != *b"GGUF" {
            return Err(self.damaged("it does not begin with `GGUF`".to_owned()));
        }
        let version = self.u32()?;
        if !matches!(version, 2 | 3) {
            let what = format!("GGUF version {version}, expected 2 or 3, little-endian");
            return Err(GgufError::Unsupported { path: self.path.to_owned(), what });
        }
        // The least a tensor's description and a key with its value take.
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
        let start = self.at.next_multiple_of(alignment as usize);
        let tensors = self.place(described, start, alignment)?;
        Ok((values, tensors))
    }

    /// Name, number format, shape, offset and bytes.
    fn tensor(&mut self) -> Read<(String, GgmlDType, Vec<usize>, u64, u64)> {
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
        let Some(dtype) = ggml_dtype(kind) else {
            let what = format!(
                "tensor `{name}` has type {kind}, expected F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K"
            );
            return Err(GgufError::Unsupported { path: self.path.to_owned(), what });
        };
        // Blocks lie within a row, which is GGUF's first dimension.
        let block = dtype.block_size() as u64;
        let count = shape.iter().try_fold(1u64, |count, &n| count.checked_mul(n));
        let bytes = count.and_then(|count| (count / block).checked_mul(dtype.type_size() as u64));
        match bytes {
            Some(bytes) if shape[0].is_multiple_of(block) && bytes <= self.bytes.len() as u64 => {
                // With a dimension of 0 the others could be anything; no model has one.
                if bytes == 0 {
                    return Err(self.damaged(format!("tensor `{name}` is empty: {shape:?}")));
                }
                let shape = shape.iter().rev().map(|&n| n as usize).collect();
                Ok((name, dtype, shape, offset, bytes))
            }
            _ => {
                Err(self.damaged(format!("tensor `{name}` of {dtype:?} {shape:?} does not fit in the file")))
            }
        }
    }

    fn place(
        &self,
        described: Vec<(String, GgmlDType, Vec<usize>, u64, u64)>,
        start: usize,
        alignment: u64,
    ) -> Read<BTreeMap<String, GgufTensor>> {
        let length = (self.bytes.len() as u64).saturating_sub(start as u64);
        let mut tensors = BTreeMap::new();
        let mut ranges = Vec::new();
        for (name, dtype, shape, offset, bytes) in described {
            if !offset.is_multiple_of(alignment) || offset.checked_add(bytes).is_none_or(|end| end > length) {
                return Err(self.damaged(format!(
                    "tensor `{name}` is at offset {offset} with {bytes} bytes, the data has {length}"
                )));
            }
            let begin = start + offset as usize;
            let range = begin..begin + bytes as usize;
            ranges.push((range.start, range.end, name.clone()));
            if tensors.insert(name.clone(), GgufTensor { dtype, shape, range }).is_some() {
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

/// The types that can be dequantised, by their number in `ggml.h`.
fn ggml_dtype(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

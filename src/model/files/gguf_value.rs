//! The contents of a GGUF file in plain types: metadata values and tensor descriptions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::encoding::Encoding;
use super::weight_file::WeightFileError;

/// What is wrong with a GGUF file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum GgufError {
    /// It can't be opened.
    #[error("cannot read {}: {reason}", path.display())]
    #[diagnostic(code(assay::input), help("check that the file exists and can be read"))]
    Open { path: PathBuf, reason: std::io::Error },
    /// Reading it fails, or it changed while it was read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] WeightFileError),
    /// It violates the format.
    #[error("{}: damaged GGUF file: {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("the file is cut off or corrupt; fetch it again and compare its size with the publisher's")
    )]
    Damaged {
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// A part of the model is missing.
    #[error("{}: no such file: it is part {number} of the {count} of this model", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "a model in parts is read as a whole: put all of its parts into one folder, under their own names"
        )
    )]
    NoPart {
        /// Where it should be.
        path: PathBuf,
        /// From 1.
        number: u64,
        count: u64,
    },
    /// A part whose name is not the one that it has to have.
    #[error("{}: it is part {number} of a model in {count} parts, but its name does not say so", path.display())]
    #[diagnostic(
        code(assay::input),
        help(
            "parts are found by their names: NAME-00001-of-0000N.gguf and so on; give them these names, in one folder"
        )
    )]
    PartName {
        path: PathBuf,
        /// From 1.
        number: u64,
        count: u64,
    },
    /// An unsupported version or encoding.
    #[error("{}: {what}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("export the model again as F32, F16, BF16, Q8_0 or a K-quant with a recent llama.cpp")
    )]
    Unsupported {
        path: PathBuf,
        /// What was found and what is supported.
        what: String,
    },
    /// A metadata key that is missing or has an invalid value.
    #[error("{}: metadata `{key}` is {found}, expected {expected}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("the file lacks what its model needs; export it again with a recent llama.cpp")
    )]
    Metadata { path: PathBuf, key: String, found: String, expected: &'static str },
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
    Bool(bool),
    String(String),
    /// Of one type; arrays of arrays are rejected, as no model has them.
    Array(Vec<GgufValue>),
}

impl GgufValue {
    pub fn shown(&self) -> String {
        match self {
            GgufValue::Unsigned(n) => n.to_string(),
            GgufValue::Signed(n) => n.to_string(),
            GgufValue::Float(n) => n.to_string(),
            GgufValue::Bool(b) => b.to_string(),
            GgufValue::String(s) => format!("{:?}", s.chars().take(60).collect::<String>()),
            GgufValue::Array(values) => format!("an array of {}", values.len()),
        }
    }

    pub fn whole(&self) -> Option<u64> {
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
    /// Metadata of these values; `path` is for messages.
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

    /// A value as text, for messages; "missing" if there is none.
    pub fn shown(&self, key: &str) -> String {
        self.values.get(key).map_or_else(|| "missing".to_owned(), GgufValue::shown)
    }

    /// The error that `key` is not `expected`.
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

    /// A non-negative integer, if the key exists.
    pub fn whole(&self, key: &str) -> Result<Option<u64>, GgufError> {
        self.optional(key, "a whole number", GgufValue::whole)
    }

    /// A finite number, if the key exists.
    pub fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.optional(key, "a finite number", |value| match *value {
            GgufValue::Float(n) => Some(n).filter(|n| n.is_finite()),
            _ => value.whole().map(|n| n as f64),
        })
    }

    /// A boolean, if the key exists.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.optional(key, "true or false", |value| match value {
            GgufValue::Bool(b) => Some(*b),
            _ => None,
        })
    }

    /// A string, if the key exists.
    pub fn string(&self, key: &str) -> Result<Option<&str>, GgufError> {
        self.optional(key, "a string", string)
    }

    /// An array of strings, if the key exists.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<&str>>, GgufError> {
        self.array(key, "an array of strings", string)
    }

    /// An array of non-negative integers, if the key exists.
    pub fn wholes(&self, key: &str) -> Result<Option<Vec<u64>>, GgufError> {
        self.array(key, "an array of whole numbers", GgufValue::whole)
    }

    /// An array of finite floats, if the key exists.
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

/// Description of a tensor in its file.
#[derive(Debug, Clone)]
pub struct GgufTensor {
    /// Index of the file that holds it, among those of its model.
    pub file: usize,
    pub encoding: Encoding,
    /// Slowest dimension first, the reverse of GGUF's order.
    pub shape: Vec<usize>,
    /// Byte range from the beginning of the file.
    pub range: Range<u64>,
}

//! The safetensors format: 8 bytes of header length, a JSON header, and the tensors' bytes without gaps.
//!
//! The entire header is checked before data is read or memory is allocated by what it declares:
//! <https://huggingface.co/docs/safetensors/index#format>.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::encoding::dtype_of_safetensors;
use super::weight_file::{WeightFile, WeightFileError};
use crate::kernels::dtype::Dtype;
use crate::vocabulary::{FETCH_LFS, is_lfs_pointer};

/// What is wrong with a safetensors file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SafetensorsError {
    /// It can't be opened.
    #[error("cannot read {}: {reason}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("check that the file exists and can be read; an interrupted download leaves shards out")
    )]
    Open { path: PathBuf, reason: std::io::Error },
    /// Reading it fails, or it changed while it was read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] WeightFileError),
    /// A pointer that git-lfs left in its place.
    #[error("{}: a pointer of git-lfs, not the file itself", path.display())]
    #[diagnostic(code(assay::input), help("{FETCH_LFS}"))]
    Pointer { path: PathBuf },
    /// It violates the format.
    #[error("{}: damaged safetensors file: {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("the file is cut off or corrupt; fetch it again and compare its size with the hub's")
    )]
    Damaged {
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// A tensor of an unsupported dtype.
    #[error("{}: tensor `{tensor}` has dtype {found}, expected F32, F16 or BF16", path.display())]
    #[diagnostic(
        code(assay::engine),
        help("quantised safetensors are not read; use the original weights or a GGUF file")
    )]
    Dtype {
        path: PathBuf,
        tensor: String,
        /// From the header.
        found: String,
    },
}

/// Description of a tensor in its file.
#[derive(Debug, Clone)]
pub struct TensorEntry {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Byte range from the beginning of the file.
    pub range: Range<u64>,
}

/// A file whose header was read and validated.
pub struct SafetensorsFile {
    pub file: WeightFile,
    pub tensors: BTreeMap<String, TensorEntry>,
}

/// The format's own limit on the bytes of the header.
const MAX_HEADER: u64 = 100_000_000;

impl SafetensorsFile {
    pub fn open(path: &Path) -> Result<Self, SafetensorsError> {
        let file = WeightFile::open(path)
            .map_err(|reason| SafetensorsError::Open { path: path.to_owned(), reason })?;
        let mut beginning = vec![0; file.length().min(64) as usize];
        file.read(0, &mut beginning)?;
        if is_lfs_pointer(&beginning) {
            return Err(SafetensorsError::Pointer { path: path.to_owned() });
        }
        let tensors = read_file(path, file.length(), |at, bytes| Ok(file.read(at, bytes)?))?;
        Ok(Self { file, tensors })
    }
}

/// The names of the tensors in an entire file's `bytes`, whose header must be valid; `path` is for messages.
///
/// # Errors
/// [`SafetensorsError`] if the header violates the format or doesn't fit the bytes.
pub fn safetensors_names(path: &Path, bytes: &[u8]) -> Result<Vec<String>, SafetensorsError> {
    let tensors = read_file(path, bytes.len() as u64, |at, to| {
        // `read_file` requests only ranges within the length.
        if let Some(from) = bytes.get(at as usize..at as usize + to.len()) {
            to.copy_from_slice(from);
        }
        Ok(())
    })?;
    Ok(tensors.into_keys().collect())
}

type Tensors = BTreeMap<String, TensorEntry>;

/// Reads and validates the header of a file of `length` bytes; `read` fills a buffer from a file offset.
fn read_file(
    path: &Path,
    length: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<(), SafetensorsError>,
) -> Result<Tensors, SafetensorsError> {
    let damaged = |what: String| SafetensorsError::Damaged { path: path.to_owned(), what };
    if length < 8 {
        return Err(damaged(format!("{length} bytes, expected a header length of 8 bytes")));
    }
    let mut word = [0; 8];
    read(0, &mut word)?;
    let header_length = u64::from_le_bytes(word);
    if header_length > MAX_HEADER || header_length > length - 8 {
        return Err(damaged(format!("header of {header_length} bytes in a file of {length}")));
    }
    let mut header = vec![0; header_length as usize];
    read(8, &mut header)?;
    read_header(path, &header, length)
}

/// Parses and validates the header of a file of `length` bytes.
fn read_header(path: &Path, header: &[u8], length: u64) -> Result<Tensors, SafetensorsError> {
    let damaged = |what: String| SafetensorsError::Damaged { path: path.to_owned(), what };
    let start = 8 + header.len() as u64;
    let data = length.saturating_sub(start);
    let header: Header = serde_json::from_slice(header)
        .map_err(|error| damaged(format!("header is not as the format says: {error}")))?;

    let mut tensors = BTreeMap::new();
    let mut ranges = Vec::with_capacity(header.0.len());
    for (name, entry) in header.0 {
        let Some(dtype) = dtype_of_safetensors(&entry.dtype) else {
            let (path, found) = (path.to_owned(), entry.dtype);
            return Err(SafetensorsError::Dtype { path, tensor: name, found });
        };
        let [begin, end] = entry.data_offsets;
        let bytes = entry.shape.iter().try_fold(dtype.size() as u64, |bytes, &n| bytes.checked_mul(n));
        if end.checked_sub(begin).is_none_or(|length| Some(length) != bytes) {
            return Err(damaged(format!(
                "tensor `{name}` at offsets {begin} to {end}, expected the size of {} {:?}",
                entry.dtype, entry.shape
            )));
        }
        if end > data {
            return Err(damaged(format!(
                "tensor `{name}` ends at byte {end} of the data, which has {data} bytes"
            )));
        }
        // Both lie within the file, so the sums don't overflow.
        let range = start + begin..start + end;
        ranges.push((range.start, range.end, name.clone()));
        let shape = entry.shape.iter().map(|&n| n as usize).collect();
        if tensors.insert(name.clone(), TensorEntry { dtype, shape, range }).is_some() {
            return Err(damaged(format!("tensor `{name}` is declared twice")));
        }
    }
    // The format allows neither gaps nor overlaps, so the ranges must be contiguous to the end of the file.
    ranges.sort();
    let mut reached = start;
    for (begin, end, name) in ranges {
        if begin != reached {
            let how =
                if begin < reached { "overlaps the tensor before it" } else { "leaves a gap before it" };
            return Err(damaged(format!("tensor `{name}` {how}")));
        }
        reached = end;
    }
    if reached != length {
        return Err(damaged(format!("{} bytes after the last tensor", length - reached)));
    }
    Ok(tensors)
}

/// The header's tensors in file order. Repeated names are preserved, so that they can be rejected.
struct Header(Vec<(String, Entry)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<BTreeMap<String, String>>()?;
                    } else {
                        tensors.push((name, map.next_value()?));
                    }
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

//! The GGUF format, versions 2 and 3: key-value metadata, tensor descriptions, and the tensors' blocks.
//!
//! Every count and length is checked against the bytes that are left before anything is allocated for it:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::BTreeMap;
use std::path::Path;

use super::gguf_header::{HeaderError, Reader};
use super::gguf_value::{GgufError, GgufMetadata, GgufTensor};
use super::weight_file::WeightFile;

impl GgufMetadata {
    /// Reads the metadata of the file at `path`.
    ///
    /// # Errors
    /// If the file can't be read or its header is damaged.
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        GgufFile::open(path).map(|file| file.metadata)
    }

    /// The metadata in an entire file's `bytes`; `path` is for messages.
    ///
    /// # Errors
    /// If the header is damaged or doesn't fit the bytes.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, GgufError> {
        let (values, _) =
            Reader::new(path, bytes, bytes.len() as u64).file().map_err(|error| error.of(path))?;
        Ok(Self::from_values(path, values))
    }
}

/// A file whose header was read and validated.
pub struct GgufFile {
    pub file: WeightFile,
    pub metadata: GgufMetadata,
    pub tensors: BTreeMap<String, GgufTensor>,
}

impl GgufFile {
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let file =
            WeightFile::open(path).map_err(|reason| GgufError::Open { path: path.to_owned(), reason })?;
        let (values, tensors) =
            Reader::new(path, file.reader(), file.length()).file().map_err(|error| match error {
                HeaderError::Gguf(error) => error,
                HeaderError::Read { at, reason } => file.read_error(at, reason).into(),
            })?;
        Ok(Self { metadata: GgufMetadata::from_values(path, values), file, tensors })
    }
}

//! The GGUF format, versions 2 and 3: key-value metadata, tensor descriptions, and the tensors' blocks.
//!
//! Every count and length is checked against the bytes that are left before anything is allocated for it:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::BTreeMap;
use std::path::Path;

use super::gguf_header::{HeaderError, Reader};
use super::gguf_part_name::GgufPartName;
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

/// A model in GGUF, in one file or in parts, whose headers were read and validated.
pub struct GgufFile {
    /// The parts in their order; a model in one file has one.
    pub files: Vec<WeightFile>,
    /// Of the first part, which describes the model.
    pub metadata: GgufMetadata,
    /// Of all parts.
    pub tensors: BTreeMap<String, GgufTensor>,
}

/// Number of parts, number of a part from 0, and number of all parts' tensors.
const SPLIT_COUNT: &str = "split.count";
const SPLIT_NUMBER: &str = "split.no";
const SPLIT_TENSORS: &str = "split.tensors.count";

impl GgufFile {
    /// Opens the file at `path`, and all other parts of its model where it is one of several.
    ///
    /// # Errors
    /// [`GgufError`] if a file can't be read or is damaged, or a part is missing or of another model.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let given = Self::open_one(path)?;
        let count = given.metadata.whole(SPLIT_COUNT)?.unwrap_or(1);
        if count <= 1 {
            return Ok(given);
        }
        let number = given.metadata.whole(SPLIT_NUMBER)?.map_or(0, |number| number.saturating_add(1));
        let name = GgufPartName::of(path).filter(|name| (name.number, name.count) == (number, count));
        let Some(name) = name else {
            return Err(GgufError::PartName { path: path.to_owned(), number, count });
        };
        let mut whole: Option<Self> = None;
        for part in 1..=count {
            let file = name.part(part);
            if !file.exists() {
                return Err(GgufError::NoPart { path: file, number: part, count });
            }
            let opened = Self::open_one(&file)?;
            opened.check_part(part, count)?;
            match &mut whole {
                None => whole = Some(opened),
                Some(whole) => whole.append(opened)?,
            }
        }
        let whole = whole.unwrap_or(given);
        let found = whole.tensors.len() as u64;
        match whole.metadata.whole(SPLIT_TENSORS)? {
            Some(declared) if declared != found => {
                let what = format!("the {count} parts have {found} tensors, `{SPLIT_TENSORS}` is {declared}");
                Err(GgufError::Damaged { path: whole.metadata.path().to_owned(), what })
            }
            _ => Ok(whole),
        }
    }

    fn open_one(path: &Path) -> Result<Self, GgufError> {
        let file =
            WeightFile::open(path).map_err(|reason| GgufError::Open { path: path.to_owned(), reason })?;
        let (values, tensors) =
            Reader::new(path, file.reader(), file.length()).file().map_err(|error| match error {
                HeaderError::Gguf(error) => error,
                HeaderError::Read { at, reason } => file.read_error(at, reason).into(),
            })?;
        Ok(Self { metadata: GgufMetadata::from_values(path, values), files: vec![file], tensors })
    }

    /// Checks that the file says to be the part that its name says.
    fn check_part(&self, number: u64, count: u64) -> Result<(), GgufError> {
        let path = self.metadata.path();
        let found = self.metadata.whole(SPLIT_COUNT)?.unwrap_or(1);
        let no = self.metadata.whole(SPLIT_NUMBER)?.unwrap_or(0);
        if (no.saturating_add(1), found) == (number, count) {
            return Ok(());
        }
        Err(GgufError::PartName { path: path.to_owned(), number: no.saturating_add(1), count: found })
    }

    /// Adds the next part.
    fn append(&mut self, part: Self) -> Result<(), GgufError> {
        let number = self.files.len();
        self.files.extend(part.files);
        for (name, tensor) in part.tensors {
            let tensor = GgufTensor { file: number, ..tensor };
            if self.tensors.insert(name.clone(), tensor).is_some() {
                let what = format!("tensor `{name}` is in another part too");
                return Err(GgufError::Damaged { path: part.metadata.path().to_owned(), what });
            }
        }
        Ok(())
    }
}

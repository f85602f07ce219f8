//! A weight file mapped into memory, whose pages can be given back once they were read.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

/// A read-only mapping of a whole file.
pub(super) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`; an empty one is an error, as the system can't map it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        // Directories open as files on Unix, and fail later with an error that names nothing.
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("not a file"));
        }
        // SAFETY: the mapping is only read. A change to the file while it is mapped is the one hazard, which every
        // reader of mapped weights shares: nobody writes to a model while it is being loaded, and the mapping is gone
        // when loading ends.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { path: path.to_owned(), map })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Lets the system drop the pages of `range`, which would otherwise count as this process's memory beside the copy
    /// made of them. Best effort: a failure costs memory, not correctness.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if range.start < range.end && range.end <= self.map.len() {
            // SAFETY: the mapping is read-only and backed by the file, so a dropped page holds nothing that the file
            // doesn't: a later access reads the same bytes again.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

//! A weight file that is read piece by piece, and must not change after it is opened.
//!
//! It is not memory-mapped: if a mapped file is truncated while it is read, the process is killed; a read
//! only fails.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::disk;

/// What can go wrong with a weight file while it is read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum WeightFileError {
    /// Reading fails.
    #[error("{}: reading failed at byte {at}: {reason}", path.display())]
    #[diagnostic(code(assay::engine), help("check the disk or the network share that holds the file"))]
    Unreadable {
        path: PathBuf,
        /// Offset of the piece.
        at: u64,
        reason: io::Error,
    },
    /// It changed since it was opened.
    #[error("{}: changed while it was read: {what}", path.display())]
    #[diagnostic(
        code(assay::engine),
        help(
            "let nothing write to the model while it is loaded; if it is still being fetched, wait for the end"
        )
    )]
    Changed {
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
}

/// An open weight file.
pub struct WeightFile {
    path: PathBuf,
    file: File,
    length: u64,
    modified: Option<SystemTime>,
    /// Bytes of weights that were read so far.
    read: AtomicU64,
}

/// Maximum bytes read at a time.
const PIECE: usize = 1 << 18;

impl WeightFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = disk::open(path)?;
        let facts = file.metadata()?;
        let (length, modified) = (facts.len(), facts.modified().ok());
        Ok(Self { path: path.to_owned(), file, length, modified, read: AtomicU64::new(0) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads the file from its beginning; [`read_error`](Self::read_error) converts its errors.
    pub fn reader(&self) -> impl io::Read + '_ {
        io::BufReader::with_capacity(PIECE / 4, At { file: &self.file, at: 0 })
    }

    /// Fills `bytes` from offset `at`.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), WeightFileError> {
        read_exact_at(&self.file, bytes, at).map_err(|reason| self.read_error(at, reason))?;
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes that were read by now, and bytes of the file. Some may be read twice, and a header is not counted.
    pub fn progress(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed).min(self.length), self.length)
    }

    /// Reads `range` in pieces of multiples of `unit` bytes; the last piece may be shorter.
    pub fn read_pieces<E: From<WeightFileError>>(
        &self,
        range: Range<u64>,
        unit: usize,
        mut read: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let most = (PIECE / unit.max(1)).max(1) * unit.max(1);
        let left = range.end.saturating_sub(range.start);
        let mut piece = vec![0; left.min(most as u64) as usize];
        let mut at = range.start;
        while at < range.end {
            let length = (range.end - at).min(most as u64) as usize;
            self.read(at, &mut piece[..length])?;
            read(&piece[..length])?;
            at += length as u64;
        }
        Ok(())
    }

    /// Checks that length and modification time are those at opening.
    pub fn check_unchanged(&self) -> Result<(), WeightFileError> {
        let facts = self.file.metadata().map_err(|reason| self.read_error(0, reason))?;
        if facts.len() != self.length {
            return Err(self.changed(format!("it has {} bytes, expected {}", facts.len(), self.length)));
        }
        if facts.modified().ok() != self.modified {
            return Err(self.changed("it was written to".to_owned()));
        }
        Ok(())
    }

    /// The error for a failed read at offset `at`.
    pub fn read_error(&self, at: u64, reason: io::Error) -> WeightFileError {
        match reason.kind() {
            ErrorKind::UnexpectedEof => {
                let now = self.file.metadata().map_or(0, |facts| facts.len());
                self.changed(format!("it ends at byte {now}, expected {} bytes", self.length))
            }
            _ => WeightFileError::Unreadable { path: self.path.clone(), at, reason },
        }
    }

    fn changed(&self, what: String) -> WeightFileError {
        WeightFileError::Changed { path: self.path.clone(), what }
    }
}

/// A reader with its own offset.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for At<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = read_at(self.file, bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, at)
}

/// Moves the file's own offset, which nothing else uses.
#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read(bytes)
}

fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    io::Read::read_exact(&mut At { file, at }, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `length` bytes, each its offset modulo 251.
    fn written(length: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, (0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>()).unwrap();
        (folder, path)
    }

    #[test]
    fn pieces_are_the_range_in_whole_units() {
        let (_folder, path) = written(3 * PIECE);
        let file = WeightFile::open(&path).unwrap();
        for (range, unit) in [(0..3 * PIECE as u64, 1), (5..2 * PIECE as u64, 18), (7..7, 4), (7..11, 4)] {
            let mut bytes = Vec::new();
            file.read_pieces(range.clone(), unit, |piece| {
                assert!(
                    piece.len() <= PIECE
                        && (bytes.len() + piece.len() == (range.end - range.start) as usize
                            || piece.len().is_multiple_of(unit))
                );
                bytes.extend_from_slice(piece);
                Ok::<_, WeightFileError>(())
            })
            .unwrap();
            assert!(bytes.iter().zip(range).all(|(&byte, at)| byte == (at % 251) as u8), "{unit}");
        }
        file.check_unchanged().unwrap();
    }

    #[test]
    fn a_file_cut_off_while_it_is_read_is_an_error() {
        let (_folder, path) = written(2 * PIECE);
        let file = WeightFile::open(&path).unwrap();
        let mut pieces = 0;
        let error = file
            .read_pieces(0..2 * PIECE as u64, 2, |_| {
                pieces += 1;
                std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
                Ok::<_, WeightFileError>(())
            })
            .unwrap_err();
        assert_eq!(pieces, 1);
        let expected = format!(
            "{}: changed while it was read: it ends at byte 100, expected 524288 bytes",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(miette::Diagnostic::code(&error).unwrap().to_string(), "assay::engine");
        assert!(
            file.check_unchanged().unwrap_err().to_string().ends_with("it has 100 bytes, expected 524288")
        );
    }

    #[test]
    fn a_file_written_to_while_it_is_read_is_an_error() {
        let (_folder, path) = written(100);
        let file = WeightFile::open(&path).unwrap();
        let other = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        other.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(
            file.check_unchanged()
                .unwrap_err()
                .to_string()
                .ends_with("changed while it was read: it was written to")
        );
    }
}

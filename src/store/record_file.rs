//! A file of records that stays valid when the process that writes it is killed.
//!
//! A record is one line: a checksum of 16 hexadecimal digits, a space, JSON without line breaks, and a line
//! feed. The line feed comes last, so a record truncated by a kill or a full disk has none. Only the end of
//! the file can look like that, and it is dropped. Any other record that does not match its checksum is
//! damaged. In a chain, each checksum also covers the one before it, so that records can be neither removed
//! nor reordered.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use crate::disk::{self, Access};

/// A record file cannot be used.
#[derive(Debug, Error, Diagnostic)]
#[diagnostic(code(assay::input))]
pub enum RecordError {
    /// Another process is writing it.
    #[error("{path}: another process is writing it")]
    #[diagnostic(help("wait until it is done, or name another folder with --output"))]
    Locked { path: String },
    /// A record is not what was written.
    #[error("{path}:{line}:1: damaged record: {what}")]
    #[diagnostic(help(
        "the disk or another program changed the file; what it holds cannot be trusted: remove it, or name another folder with --output"
    ))]
    Damaged {
        path: String,
        /// The line, from 1.
        line: usize,
        /// Found and expected.
        what: String,
    },
    /// It holds something else.
    #[error("{path}: not written by assay: it holds no record")]
    #[diagnostic(help("nothing was changed in it: move it elsewhere, or name another folder with --output"))]
    NotOurs { path: String },
    /// A system call failed.
    #[error("{path}: cannot be {done}: {source}")]
    #[diagnostic(help("check that the file may be read and written, and that the disk is not full"))]
    System {
        path: String,
        /// The operation that failed, as a participle.
        done: &'static str,
        source: io::Error,
    },
}

/// Hexadecimal digits of a checksum.
pub const CHECKSUM: usize = 16;

/// The preceding checksum for the first record of a chain, and for every loose record.
const SEED: [u8; CHECKSUM] = [b'0'; CHECKSUM];

fn checksum(before: &[u8; CHECKSUM], json: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(json);
    let mut digits = [0; CHECKSUM];
    digits.copy_from_slice(&hasher.finalize().to_hex().as_bytes()[..CHECKSUM]);
    digits
}

/// Whether records are chained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each checksum covers the one before.
    Chained,
    /// Records are independent, so that several processes may append to a file.
    Loose,
}

/// What [`read_records`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Bytes of complete records; what follows is a truncated record.
    pub bytes: usize,
    /// Number of complete records.
    pub records: usize,
    /// Checksum of the last.
    last: [u8; CHECKSUM],
}

/// Calls `each` with every complete record of `bytes` and its line number, in order.
///
/// # Errors
/// The line of the first record that is damaged or that `each` rejects, and what is wrong with it.
pub fn read_records<'b>(
    bytes: &'b [u8],
    order: Order,
    each: &mut dyn FnMut(usize, &'b str) -> Result<(), String>,
) -> Result<Whole, (usize, String)> {
    let mut whole = Whole { bytes: 0, records: 0, last: SEED };
    while let Some(length) = bytes[whole.bytes..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[whole.bytes..whole.bytes + length];
        let number = whole.records + 1;
        let fault = |what: String| (number, what);
        let (found, json) = match line.split_first_chunk::<CHECKSUM>() {
            Some((found, [b' ', json @ ..])) => (found, json),
            _ => return Err(fault(format!("{length} bytes without a checksum"))),
        };
        let expected = checksum(&whole.last, json);
        if *found != expected {
            let shown = |digits: &[u8]| String::from_utf8_lossy(digits).into_owned();
            let (found, expected) = (shown(found), shown(&expected));
            return Err(fault(format!(
                "found checksum {}, its content has {expected}",
                found.escape_default()
            )));
        }
        let json = std::str::from_utf8(json).map_err(|e| fault(format!("no text: {e}")))?;
        each(number, json).map_err(fault)?;
        if order == Order::Chained {
            whole.last = expected;
        }
        whole.bytes += length + 1;
        whole.records += 1;
    }
    Ok(whole)
}

/// Whether a file without a complete record is empty, or what a kill left of the first record: only such a file may be truncated. A
/// beginning that is too short to tell counts as somebody else's.
fn may_be_ours(bytes: &[u8]) -> bool {
    let Some((digits, rest)) = bytes.split_first_chunk::<CHECKSUM>() else { return bytes.is_empty() };
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) && rest.starts_with(b" {\"")
}

/// A file of records, locked so that only this process appends to it.
#[derive(Debug)]
pub struct RecordFile {
    file: File,
    path: PathBuf,
    order: Order,
    whole: Whole,
    /// Bytes of a truncated record that were dropped.
    pub dropped: usize,
}

impl RecordFile {
    /// Opens or creates the file, locks it, and passes its records to `each`. A truncated record at its end
    /// is dropped.
    ///
    /// # Errors
    /// Another process holds the lock, the file is damaged, or a system call fails.
    pub fn open(
        path: &Path,
        order: Order,
        each: &mut dyn FnMut(usize, &str) -> Result<(), String>,
    ) -> Result<Self, RecordError> {
        let system = |done| move |source| system_error(path, done, source);
        let mut file = loop {
            let file = disk::open_own(path, Access::Create).map_err(system("opened"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(RecordError::Locked { path: path.display().to_string() });
                }
                Err(TryLockError::Error(source)) => return Err(system("locked")(source)),
            }
            // The previous holder of the lock may have removed the file: a lock on a removed file protects
            // nothing.
            if is_at(&file, path) {
                break file;
            }
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(system("read"))?;
        let whole = read_records(&bytes, order, each).map_err(|(line, what)| damaged(path, line, what))?;
        let dropped = bytes.len() - whole.bytes;
        if whole.records == 0 && !may_be_ours(&bytes) {
            return Err(RecordError::NotOurs { path: path.display().to_string() });
        }
        if dropped > 0 {
            file.set_len(whole.bytes as u64).map_err(system("written"))?;
        }
        file.seek(SeekFrom::Start(whole.bytes as u64)).map_err(system("read"))?;
        Ok(Self { file, path: path.to_path_buf(), order, whole, dropped })
    }

    /// The path at which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the file is still where it was opened, so that no other process can be writing another
    /// file there.
    ///
    /// # Errors
    /// It was moved or removed.
    pub fn check_path(&self) -> Result<(), RecordError> {
        if is_at(&self.file, &self.path) {
            Ok(())
        } else {
            Err(system_error(&self.path, "written", io::Error::other("it was moved or removed")))
        }
    }

    /// Appends records in one write, and waits until they are on disk.
    ///
    /// # Errors
    /// A system call fails; the file is then restored to its previous state as far as possible.
    pub fn append(&mut self, records: &[String]) -> Result<(), RecordError> {
        let (text, whole) = self.lines(records);
        let added = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(source) = added {
            // The next open would drop a truncated record, but accept complete records of a batch that
            // failed.
            let _ = self.file.set_len(self.whole.bytes as u64);
            let _ = self.file.seek(SeekFrom::Start(self.whole.bytes as u64));
            return Err(system_error(&self.path, "written", source));
        }
        self.whole = whole;
        Ok(())
    }

    fn lines(&self, records: &[String]) -> (Vec<u8>, Whole) {
        let mut text = Vec::new();
        let mut whole = self.whole;
        for json in records {
            let digits = checksum(&whole.last, json.as_bytes());
            text.extend_from_slice(&digits);
            text.push(b' ');
            text.extend_from_slice(json.as_bytes());
            text.push(b'\n');
            whole.records += 1;
            if self.order == Order::Chained {
                whole.last = digits;
            }
        }
        whole.bytes += text.len();
        (text, whole)
    }
}

/// Whether an open file is the one at `path`.
#[cfg(unix)]
pub fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |open: std::fs::Metadata, there: std::fs::Metadata| {
        (open.dev(), open.ino()) == (there.dev(), there.ino())
    };
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => same(open, there),
        _ => false,
    }
}

/// Whether an open file is the one at `path`: other systems do not remove open files.
#[cfg(not(unix))]
pub fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Calls `each` with every record of `bytes`, a file of loose records. Returns the lines that are damaged or
/// that `each` rejects, with what is wrong with them.
pub fn read_loose<'b>(
    bytes: &'b [u8],
    each: &mut dyn FnMut(usize, &'b str) -> Result<(), String>,
) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (place, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let read = read_records(line, Order::Loose, &mut |_, json| each(place + 1, json));
        if let Err((_, what)) = read {
            faults.push((place + 1, what));
        }
    }
    faults
}

/// The line of a loose record.
pub fn line_of(json: &str) -> Vec<u8> {
    let mut line = checksum(&SEED, json.as_bytes()).to_vec();
    line.push(b' ');
    line.extend_from_slice(json.as_bytes());
    line.push(b'\n');
    line
}

/// The error of a damaged line.
pub fn damaged(path: &Path, line: usize, what: String) -> RecordError {
    RecordError::Damaged { path: path.display().to_string(), line, what }
}

/// The error of a system call.
pub fn system_error(path: &Path, done: &'static str, source: io::Error) -> RecordError {
    RecordError::System { path: path.display().to_string(), done, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> Vec<String> {
        (0..5).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}", "ä".repeat(n))).collect()
    }

    fn written(order: Order) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let mut file = RecordFile::open(&path, order, &mut |_, _| Ok(())).unwrap();
        let records = records();
        file.append(&records[..2]).unwrap();
        file.append(&records[2..]).unwrap();
        std::fs::read(&path).unwrap()
    }

    fn read(bytes: &[u8], order: Order) -> Result<Vec<String>, (usize, String)> {
        let mut found = Vec::new();
        read_records(bytes, order, &mut |_, json| {
            found.push(json.to_string());
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn a_file_cut_anywhere_is_the_beginning_of_the_whole() {
        for order in [Order::Chained, Order::Loose] {
            let bytes = written(order);
            assert_eq!(read(&bytes, order).unwrap(), records());
            for length in 0..bytes.len() {
                let found = read(&bytes[..length], order).unwrap();
                assert_eq!(found, records()[..found.len()]);
                assert_eq!(found.len(), bytes[..length].iter().filter(|b| **b == b'\n').count());
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_damage_or_a_shorter_file() {
        let bytes = written(Order::Chained);
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[place] ^= 1 << bit;
                match read(&other, Order::Chained) {
                    Err((line, _)) => assert!(line >= 1),
                    // Without its line feed, the last record is incomplete.
                    Ok(found) => {
                        assert_eq!((place, found.as_slice()), (bytes.len() - 1, &records()[..4]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_chain_misses_none_of_its_links() {
        let bytes = written(Order::Chained);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for left_out in 0..4 {
            let mut others = lines.clone();
            others.remove(left_out);
            assert_eq!(read(&others.concat(), Order::Chained).unwrap_err().0, left_out + 1);
        }
        let mut swapped = lines.clone();
        swapped.swap(1, 2);
        assert_eq!(read(&swapped.concat(), Order::Chained).unwrap_err().0, 2);
        // Loose records may come in any order.
        let loose = written(Order::Loose);
        let mut lines: Vec<&[u8]> = loose.split_inclusive(|byte| *byte == b'\n').collect();
        lines.reverse();
        assert_eq!(read(&lines.concat(), Order::Loose).unwrap().len(), 5);
    }

    #[test]
    fn one_process_writes_and_a_torn_end_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let mut first = RecordFile::open(&path, Order::Chained, &mut |_, _| Ok(())).unwrap();
        first.append(&records()[..3]).unwrap();
        let second = RecordFile::open(&path, Order::Chained, &mut |_, _| Ok(()));
        assert!(matches!(second, Err(RecordError::Locked { .. })));
        drop(first);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let mut again = RecordFile::open(&path, Order::Chained, &mut |_, _| Ok(())).unwrap();
        assert!(again.dropped > 0);
        again.append(&records()[2..]).unwrap();
        assert_eq!(read(&std::fs::read(&path).unwrap(), Order::Chained).unwrap(), records());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, Order::Chained);
            let _ = read(&bytes, Order::Loose);
        }
    }
}

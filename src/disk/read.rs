//! Opening files to read them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Largest file of settings: configurations, task files, templates, recipes, tables. The largest real ones have a few MB.
pub const TEXT: u64 = 64 << 20;

/// Largest `tokenizer.json`. The largest real ones have some 40 MB.
pub const TOKENIZER: u64 = 512 << 20;

/// Largest file that a run or another harness wrote: journals, samples, results. The largest real ones have some hundred MB.
pub const RECORDS: u64 = 8 << 30;

/// Largest file of rows. What may be taken of it depends on the memory that is free, not on this.
pub const DATA: u64 = 64 << 30;

/// Opens a regular file to read it; links to one are followed. Nothing waits: a named pipe, a device or a socket is an error.
///
/// # Errors
/// It is something else than a regular file, or the system refuses.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    // Opening a device can do something, so it is asked before; what is opened then is asked again.
    check_kind(&std::fs::metadata(path)?)?;
    let file = without_waiting(File::options().read(true)).open(path)?;
    check_kind(&file.metadata()?)?;
    Ok(file)
}

/// The content of a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`]; it is larger; or there is no memory for it.
pub fn read(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    whole(open(path)?, most)
}

/// [`read`], as text.
///
/// # Errors
/// As [`read`], or it is no UTF-8.
pub fn read_text(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    text(read(path, most)?)
}

/// Reads a text that the user named on the command line himself, so that it may come from a pipe: `--config <(...)`.
///
/// # Errors
/// It is a folder, has more than `most` bytes, is no UTF-8, or the system refuses.
pub fn read_named(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    let path = path.as_ref();
    if std::fs::metadata(path)?.is_dir() {
        return Err(not_a_file("a folder"));
    }
    text(whole(File::open(path)?, most)?)
}

fn whole(mut file: File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes"));
    if length > most {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // Reserved before, so that a file larger than memory is an error.
    bytes.try_reserve_exact(length as usize).map_err(|_| no_room(length))?;
    let mut rest = (&mut file).take(most.saturating_add(1));
    loop {
        // A file that grows while it is read.
        if bytes.len() == bytes.capacity() {
            bytes.try_reserve(1 << 16).map_err(|_| no_room(bytes.len() as u64))?;
        }
        let filled = bytes.len();
        bytes.resize(bytes.capacity(), 0);
        let read = rest.read(&mut bytes[filled..]);
        bytes.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

fn no_room(bytes: u64) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, format!("no room for {bytes} bytes"))
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    // The words of `std::fs::read_to_string`.
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

/// Fails where these are not the facts of a regular file.
pub(super) fn check_kind(facts: &Metadata) -> io::Result<()> {
    if facts.is_file() { Ok(()) } else { Err(not_a_file(kind_of(facts))) }
}

fn not_a_file(kind: &str) -> io::Error {
    let error = if kind == "a folder" { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
    io::Error::new(error, format!("it is {kind}, not a file"))
}

#[cfg(unix)]
fn kind_of(facts: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = facts.file_type();
    match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

#[cfg(not(unix))]
fn kind_of(facts: &Metadata) -> &'static str {
    if facts.is_dir() { "a folder" } else { "something else" }
}

/// A named pipe that takes the file's place between the two questions does not wait either.
#[cfg(unix)]
pub(super) fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NONBLOCK)
}

#[cfg(not(unix))]
pub(super) fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn fault<T: std::fmt::Debug>(found: io::Result<T>) -> String {
        found.unwrap_err().to_string()
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [&pipe, &link] {
            assert_eq!(fault(open(path)), "it is a named pipe, not a file");
        }
        assert_eq!(fault(read(Path::new("/dev/zero"), TEXT)), "it is a device, not a file");
        assert_eq!(fault(read(folder.path(), TEXT)), "it is a folder, not a file");
        assert_eq!(open(folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let socket = folder.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(fault(open(&socket)), "it is a socket, not a file");
    }

    #[test]
    fn sizes_are_bounded_and_links_to_files_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ten");
        std::fs::write(&path, "0123456789").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link, 10).unwrap(), b"0123456789");
        assert_eq!(fault(read(&path, 9)), "it has more than 9 bytes");
        // Files of the system say that they are empty.
        assert!(read_text(Path::new("/proc/self/status"), TEXT).unwrap().contains("Pid:"));
        assert_eq!(fault(read(Path::new("/proc/self/status"), 100)), "it has more than 100 bytes");
        // A file with a hole in it, larger than any memory.
        File::create(&path).unwrap().set_len(1 << 43).unwrap();
        assert!(read(&path, u64::MAX).is_err());
    }
}

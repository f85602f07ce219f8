//! Writing files: into a file of our own that stays open, or a whole one in the place of another.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::read::check_kind;

/// What a file that stays open is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading and writing; it is made where it is missing.
    Create,
    /// Reading and appending; it is made where it is missing.
    CreateToAppend,
    /// Reading and appending to one that is there.
    Append,
}

/// Opens a file that we write, and may truncate: a regular file, never through a link.
///
/// # Errors
/// There is something else, such as a link; or the system refuses.
pub fn open_own(path: &Path, access: Access) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(facts) => check_kind(&facts)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && access != Access::Append => {}
        Err(error) => return Err(error),
    }
    let mut options = File::options();
    options.read(true);
    match access {
        Access::Create => options.write(true).create(true).truncate(false),
        Access::CreateToAppend => options.append(true).create(true),
        Access::Append => options.append(true),
    };
    let file = never_through_a_link(&mut options).open(path)?;
    check_kind(&file.metadata()?)?;
    Ok(file)
}

/// Writes a whole file beside `path` and moves it there, so that `path` is the old file or the new one. A link at `path` is replaced,
/// not followed. `partial` is the ending of the file beside it; one that a killed process left is replaced too.
///
/// # Errors
/// The system refuses; nothing is left beside `path` then.
pub fn replace(path: &Path, partial: &str, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.to_path_buf().into_os_string();
    beside.push(partial);
    let beside = Path::new(&beside);
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new` follows no link, whoever made one since.
    let written = File::options().write(true).create_new(true).open(beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(beside, path)) {
        // On a full disk it would take the space that a journal needs.
        let _ = fs::remove_file(beside);
        return Err(error);
    }
    Ok(())
}

/// Makes a folder where it is missing. The last part of the path is a folder then, and no link to one.
///
/// # Errors
/// There is something else, or the system refuses.
pub fn own_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let kind = fs::symlink_metadata(path)?.file_type();
    let is_link = kind.is_symlink();
    if is_link { Err(io::Error::other("it is a symbolic link, not a folder")) } else { Ok(()) }
}

/// Syncs new names in a folder to disk; a file system that cannot do so on demand does it eventually.
pub fn sync_folder(path: &Path) {
    let _ = File::open(path).and_then(|folder| folder.sync_all());
}

#[cfg(unix)]
fn never_through_a_link(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
}

#[cfg(not(unix))]
fn never_through_a_link(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "secret").unwrap();
        for name in ["journal", "results.json.part"] {
            symlink(at("victim"), at(name)).unwrap();
        }
        symlink(at("nowhere"), at("dangling")).unwrap();
        for name in ["journal", "dangling"] {
            for access in [Access::Create, Access::CreateToAppend, Access::Append] {
                let error = open_own(&at(name), access).unwrap_err();
                assert_eq!(error.to_string(), "it is a symbolic link, not a file", "{name} {access:?}");
            }
        }
        assert!(!at("nowhere").exists());
        replace(&at("results.json"), ".part", b"results").unwrap();
        replace(&at("journal"), ".part", b"new").unwrap();
        assert_eq!(fs::read(at("results.json")).unwrap(), b"results");
        assert_eq!(fs::read(at("victim")).unwrap(), b"secret");
        assert_eq!(fs::read(at("journal")).unwrap(), b"new");
        assert!(!at("journal.part").exists() && !at("results.json.part").exists());
        symlink(folder.path(), at("samples")).unwrap();
        assert_eq!(
            own_folder(&at("samples")).unwrap_err().to_string(),
            "it is a symbolic link, not a folder"
        );
        own_folder(&at("a/b")).unwrap();
    }
}

//! Folders for temporary files.

use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

/// A new folder that only this user can enter, with a name that nobody can guess, below the system's folder for temporary files, which
/// is made where it is missing. It is removed on drop.
///
/// # Errors
/// It cannot be made; the error has the path of the system's folder.
pub fn scratch() -> Result<TempDir, (PathBuf, io::Error)> {
    let parent = std::env::temp_dir();
    let made = std::fs::create_dir_all(&parent);
    made.and_then(|()| tempfile::Builder::new().prefix("assay-").tempdir_in(&parent))
        .map_err(|error| (parent, error))
}

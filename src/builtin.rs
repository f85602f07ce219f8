//! Files embedded in the binary. They are overridden by files of the same path below the working folder.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rust_embed::Embed;
use tempfile::TempDir;

use crate::disk;
use crate::vocabulary::Fingerprinter;

#[derive(Embed)]
#[folder = "tasks"]
#[prefix = "tasks/"]
struct Tasks;

#[derive(Embed)]
#[folder = "datasets"]
#[prefix = "datasets/"]
struct Datasets;

#[derive(Embed)]
#[folder = "sample_model"]
#[prefix = "sample_model/"]
struct SampleModel;

/// The only embedded file of `results/`: runs are written to that folder.
const PUBLISHED: (&str, &[u8]) = ("results/published.csv", include_bytes!("../results/published.csv"));

fn embedded(path: &str) -> Option<Cow<'static, [u8]>> {
    let get = match path.split('/').next()? {
        "tasks" => Tasks::get,
        "datasets" => Datasets::get,
        "sample_model" => SampleModel::get,
        _ if path == PUBLISHED.0 => return Some(PUBLISHED.1.into()),
        _ => return None,
    };
    get(path).map(|file| file.data)
}

/// The bytes of `path` (relative, with `/`), from the working folder or else from the binary; `None` if
/// neither has it.
///
/// # Errors
/// The file exists in the working folder and cannot be read.
pub fn read(path: &str) -> io::Result<Option<Cow<'static, [u8]>>> {
    match disk::read(path, disk::TEXT) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.kind() == io::ErrorKind::NotADirectory => {
            Ok(embedded(path))
        }
        Err(e) => Err(e),
    }
}

/// Whether a file in the working folder overrides the embedded one at `path` with other bytes.
pub fn is_replaced(path: &str) -> bool {
    embedded(path).is_some_and(|own| disk::read(path, disk::TEXT).is_ok_and(|bytes| bytes != *own))
}

/// The paths of all files directly in `folder`, from the working folder and from the binary, sorted.
pub fn list(folder: &str) -> Vec<String> {
    let inside = |path: &str| {
        path.strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| !rest.contains('/'))
    };
    let mut paths: BTreeSet<String> = Tasks::iter()
        .chain(Datasets::iter())
        .chain(SampleModel::iter())
        .filter(|path| inside(path))
        .map(Cow::into_owned)
        .collect();
    if let Ok(entries) = std::fs::read_dir(folder) {
        for entry in entries.flatten().filter(|e| e.path().is_file()) {
            paths.insert(format!("{folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    paths.into_iter().collect()
}

/// The embedded folders directly in `folder`, sorted.
pub fn folders(folder: &str) -> Vec<String> {
    let below = |path: &str| -> Option<String> {
        let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
        let (name, _) = rest.split_once('/')?;
        Some(format!("{folder}/{name}"))
    };
    let names: BTreeSet<String> =
        Tasks::iter().chain(Datasets::iter()).filter_map(|path| below(&path)).collect();
    names.into_iter().collect()
}

/// Writes the embedded `folder` below the system's folder for temporary files, for readers that need files on
/// disk, and returns its path; files in the working folder do not override it. All processes of a user share one
/// copy, so that a killed process leaves nothing behind; its bytes are compared on every call, and one that another
/// user could have made is not used. The second value is this process's own copy, removed on drop, where the shared
/// one is not usable.
///
/// # Errors
/// The temporary folder cannot be written; the error has its path.
pub fn unpack(folder: &str) -> Result<(PathBuf, Option<TempDir>), (PathBuf, io::Error)> {
    let files: Vec<(Cow<'static, str>, Cow<'static, [u8]>)> = SampleModel::iter()
        .filter(|path| path.starts_with(&format!("{folder}/")))
        .filter_map(|path| Some((path.clone(), embedded(&path)?)))
        .collect();
    let mut hasher = Fingerprinter::default();
    for (path, bytes) in &files {
        hasher.part(path.as_bytes()).part(bytes);
    }
    let shared = std::env::temp_dir().join(format!("assay-{folder}-{:.16}", hasher.finish().to_string()));
    let is_there = || {
        // Nobody else can change what is in a folder that only this user may write.
        matches!(disk::stranger(&shared), Ok(None))
            && !shared.is_symlink()
            && files.iter().all(|(path, bytes)| same_bytes(&shared.join(&**path), bytes))
    };
    if is_there() {
        return Ok((shared.join(folder), None));
    }
    let own = disk::scratch()?;
    let write = || -> io::Result<()> {
        std::fs::create_dir(own.path().join(folder))?;
        files.iter().try_for_each(|(path, bytes)| disk::replace(&own.path().join(&**path), ".part", bytes))
    };
    write().map_err(|error| (own.path().to_path_buf(), error))?;
    if std::fs::rename(own.path(), &shared).is_ok() {
        // It has another name now: there is nothing to remove.
        let _ = own.keep();
        return Ok((shared.join(folder), None));
    }
    // Either another process has made the copy since, or what is there cannot be replaced.
    if is_there() { Ok((shared.join(folder), None)) } else { Ok((own.path().join(folder), Some(own))) }
}

fn same_bytes(path: &Path, bytes: &[u8]) -> bool {
    disk::read(path, bytes.len() as u64).is_ok_and(|found| found == bytes)
}

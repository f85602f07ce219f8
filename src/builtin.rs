//! Files that ship inside the binary. A file of the same path below the working folder wins.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rust_embed::Embed;

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

/// Of the results only this: the folder is where runs go.
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

/// The bytes of `path` (with `/`, relative), from the working folder or else from the binary; `None` where neither has it.
///
/// # Errors
/// The working folder's file is there and cannot be read.
pub fn read(path: &str) -> io::Result<Option<Cow<'static, [u8]>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.kind() == io::ErrorKind::NotADirectory => {
            Ok(embedded(path))
        }
        Err(e) => Err(e),
    }
}

/// The paths of all files directly in `folder`, of the working folder and of the binary, sorted.
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

/// The folders directly in `folder` that the binary has, sorted.
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

/// Copies the binary's own `folder` to disk below `scratch`, for what must be read from a file; the working folder's is not asked.
///
/// # Errors
/// `scratch` cannot be written.
pub fn unpack(folder: &str, scratch: &Path) -> io::Result<PathBuf> {
    let target = scratch.join(folder);
    std::fs::create_dir_all(&target)?;
    for path in SampleModel::iter().filter(|path| path.starts_with(&format!("{folder}/"))) {
        if let Some(bytes) = embedded(&path) {
            std::fs::write(scratch.join(&*path), bytes)?;
        }
    }
    Ok(target)
}

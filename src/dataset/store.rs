//! Finding a split's files and reading them once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miette::Diagnostic;
use thiserror::Error;

use super::{Manifest, csv, jsonl, parquet};
use crate::builtin;
use crate::task::{DatasetRef, closest};
use crate::vocabulary::{Fingerprint, Row};

/// Rows cannot be had.
#[derive(Debug, Error, Diagnostic)]
pub enum DatasetError {
    /// The folder has no such dataset.
    #[error("{root}: no dataset `{id}`")]
    #[diagnostic(code(assay::input), help("{hint}"))]
    NoDataset {
        /// The folder of datasets.
        root: String,
        /// The dataset's id.
        id: String,
        /// What to do.
        hint: String,
    },
    /// The dataset has no such configuration.
    #[error("{path}: no configuration `{config}`, found {found}")]
    #[diagnostic(
        code(assay::input),
        help(
            "the folder's layout is <owner>/<name>/<config>/<split>-00000-of-00001.parquet (or .jsonl, .csv); check `dataset_name` in the task file"
        )
    )]
    NoConfig {
        /// The dataset's folder.
        path: String,
        /// The configuration.
        config: String,
        /// Those there are.
        found: String,
    },
    /// The configuration has no such split.
    #[error("{path}: no split `{split}`, found {found}")]
    #[diagnostic(
        code(assay::input),
        help(
            "a split is a file named <split>-00000-of-00001.parquet (or .jsonl, .csv); check the task file's `test_split` and `fewshot_split`"
        )
    )]
    NoSplit {
        /// The configuration's folder.
        path: String,
        /// The split.
        split: String,
        /// Those there are.
        found: String,
    },
    /// A shard of a split is missing.
    #[error("{path}: shard {missing} of {shards} is missing")]
    #[diagnostic(code(assay::input), help("download the dataset again: all shards must be there"))]
    NoShard {
        /// The folder.
        path: String,
        /// The missing one, from 0.
        missing: usize,
        /// How many there should be.
        shards: usize,
    },
    /// A file cannot be opened.
    #[error("{path}: cannot be read: {source}")]
    #[diagnostic(code(assay::input), help("check that the file exists and is readable"))]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {what}")]
    #[diagnostic(
        code(assay::input),
        help("the file is damaged or not of the kind that its name says: download it again")
    )]
    Corrupt {
        /// The file.
        path: String,
        /// The fault.
        what: String,
    },
    /// No rows.
    #[error("{path}: split `{split}` has no rows")]
    #[diagnostic(
        code(assay::input),
        help("download the dataset again, or check the task file's split names")
    )]
    Empty {
        /// The folder.
        path: String,
        /// The split.
        split: String,
    },
    /// No samples stand in for a dataset.
    #[error("no built-in samples for dataset `{id}`")]
    #[diagnostic(
        code(assay::input),
        help("give the folder that holds it with --datasets DIR, in the hub's layout")
    )]
    NoSamples {
        /// The dataset's id.
        id: String,
    },
}

/// The rows of a split and what they were read from.
#[derive(Debug, Clone)]
pub struct Split {
    /// Its rows, in the file's order.
    pub rows: Arc<Vec<Row>>,
    /// The id that they were found under.
    pub id: String,
    /// Hash of the files' bytes, in shard order.
    pub fingerprint: Fingerprint,
    /// Whether they are built-in samples.
    pub sample: bool,
    /// Rows that the hub's own split has, where that is known and another number.
    pub expected_rows: Option<usize>,
}

/// Where datasets are looked for.
pub struct DatasetStore {
    root: Option<PathBuf>,
    manifests: Vec<Manifest>,
    read: Mutex<HashMap<(DatasetRef, String), Slot>>,
}

/// A split that is read, or will be by the first who asks; whoever else asks waits.
type Slot = Arc<Mutex<Option<Split>>>;

const ENDINGS: [&str; 4] = ["parquet", "jsonl", "json", "csv"];

impl DatasetStore {
    /// Datasets below `root`, in the hub's layout; the built-in samples where there is no root.
    ///
    /// # Errors
    /// `root` is no folder.
    pub fn new(root: Option<PathBuf>) -> Result<Self, DatasetError> {
        if let Some(root) = &root {
            std::fs::read_dir(root)
                .map_err(|source| DatasetError::Unreadable { path: root.display().to_string(), source })?;
        }
        Ok(Self { root, manifests: Manifest::all(), read: Mutex::new(HashMap::new()) })
    }

    /// Whether `split` would come from the built-in samples.
    pub fn is_sampled(&self, dataset: &DatasetRef) -> bool {
        self.root.is_none() && dataset.data_files.is_empty()
    }

    /// All rows of a split; read once, however many tasks ask.
    ///
    /// # Errors
    /// See [`DatasetError`].
    pub fn split(&self, dataset: &DatasetRef, split: &str) -> Result<Split, DatasetError> {
        let key = (dataset.clone(), split.to_string());
        let slot = lock(&self.read).entry(key).or_default().clone();
        let mut slot = lock(&slot);
        if let Some(found) = &*slot {
            return Ok(found.clone());
        }
        let mut found = self.read_split(dataset, split)?;
        if found.rows.is_empty() {
            return Err(DatasetError::Empty { path: found.id, split: split.to_string() });
        }
        if !found.sample && dataset.data_files.is_empty() {
            let manifest = self.manifests.iter().find(|manifest| manifest.hub_id == dataset.path);
            let expected = manifest.and_then(|manifest| manifest.rows_of(dataset.config.as_deref(), split));
            found.expected_rows = expected.filter(|rows| *rows != found.rows.len());
        }
        *slot = Some(found.clone());
        Ok(found)
    }

    fn read_split(&self, dataset: &DatasetRef, split: &str) -> Result<Split, DatasetError> {
        if !dataset.data_files.is_empty() {
            let Some((_, files)) = dataset.data_files.iter().find(|(name, _)| name == split) else {
                let found = dataset.data_files.iter().map(|(name, _)| name.as_str()).collect();
                return Err(no_split("data_files", split, found));
            };
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            return read_files(&files, Source::Disk, Some(&dataset.path), dataset.path.clone());
        }
        match &self.root {
            Some(root) => {
                let folder = self.folder(root, &dataset.path)?;
                let names = |path: &Path| entries(path);
                let config =
                    config_folder(&folder.display().to_string(), dataset, &|path| names(Path::new(path)))?;
                let files = shards(&config, split, &entries(Path::new(&config)))?;
                read_files(&files, Source::Disk, None, dataset.path.clone())
            }
            None => {
                let manifest = self.manifests.iter().find(|m| m.hub_id == dataset.path);
                let manifest =
                    manifest.ok_or_else(|| DatasetError::NoSamples { id: dataset.path.clone() })?;
                let folder = format!("datasets/{}", manifest.samples);
                let config = format!("{folder}/{}", dataset.config.as_deref().unwrap_or("default"));
                let names: Vec<String> =
                    builtin::list(&config).iter().map(|p| file_name(p).to_string()).collect();
                let files = shards(&config, split, &names)?;
                read_files(&files, Source::Builtin, None, manifest.samples.clone())
            }
        }
    }

    fn folder(&self, root: &Path, id: &str) -> Result<PathBuf, DatasetError> {
        let folder = root.join(id);
        if !id.is_empty() && folder.is_dir() {
            return Ok(folder);
        }
        let mut known = Vec::new();
        for owner in entries(root) {
            let path = root.join(&owner);
            known.extend(
                entries(&path).into_iter().filter(|n| path.join(n).is_dir()).map(|n| format!("{owner}/{n}")),
            );
        }
        // Old task files name datasets without their owners.
        let same_name = known.iter().find(|k| k.ends_with(&format!("/{id}"))).map(String::as_str);
        let hint = match same_name.or_else(|| closest(id, known.iter().map(String::as_str))) {
            Some(near) => format!(
                "did you mean `{near}`? the layout is <owner>/<name>/<config>/<split>-00000-of-00001.parquet"
            ),
            None => {
                "put it there as <owner>/<name>/<config>/<split>-00000-of-00001.parquet (or .jsonl, .csv)"
                    .into()
            }
        };
        Err(DatasetError::NoDataset { root: root.display().to_string(), id: id.to_string(), hint })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy)]
enum Source {
    Disk,
    Builtin,
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The configuration's folder. Without a name it is the folder that the hub makes for a lone configuration.
fn config_folder(
    folder: &str,
    dataset: &DatasetRef,
    list: &dyn Fn(&str) -> Vec<String>,
) -> Result<String, DatasetError> {
    let names = list(folder);
    match &dataset.config {
        Some(config) if names.contains(config) => Ok(format!("{folder}/{config}")),
        Some(config) => Err(DatasetError::NoConfig {
            path: folder.into(),
            config: config.clone(),
            found: enumerate(&names),
        }),
        None => {
            for usual in ["default", "data"] {
                if names.iter().any(|name| name == usual) {
                    return Ok(format!("{folder}/{usual}"));
                }
            }
            match names.iter().find(|name| ENDINGS.iter().any(|e| name.ends_with(&format!(".{e}")))) {
                Some(_) => Ok(folder.to_string()),
                None if names.len() == 1 => Ok(format!("{folder}/{}", names[0])),
                None => Err(DatasetError::NoConfig {
                    path: folder.into(),
                    config: "default".into(),
                    found: enumerate(&names),
                }),
            }
        }
    }
}

fn enumerate(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn no_split(path: &str, split: &str, mut found: Vec<&str>) -> DatasetError {
    found.sort_unstable();
    found.dedup();
    let found = if found.is_empty() { "no data files".into() } else { found.join(", ") };
    DatasetError::NoSplit { path: path.into(), split: split.into(), found }
}

/// The files of a split, in shard order: `<split>-00000-of-00002.<ending>`, or `<split>.<ending>`.
fn shards(folder: &str, split: &str, names: &[String]) -> Result<Vec<String>, DatasetError> {
    let parsed: Vec<(&str, usize, usize, &str)> = names.iter().filter_map(|name| parse_shard(name)).collect();
    for ending in ENDINGS {
        let mut own: Vec<_> = parsed.iter().filter(|(s, _, _, e)| *s == split && *e == ending).collect();
        own.sort();
        let Some(&&(_, _, of, _)) = own.first() else { continue };
        for index in 0..of {
            if !own.iter().any(|(_, i, _, _)| *i == index) {
                return Err(DatasetError::NoShard { path: folder.into(), missing: index, shards: of });
            }
        }
        let plain = format!("{split}.{ending}");
        return Ok((0..of)
            .map(|i| match names.contains(&plain) {
                true => format!("{folder}/{plain}"),
                false => format!("{folder}/{split}-{i:05}-of-{of:05}.{ending}"),
            })
            .collect());
    }
    Err(no_split(folder, split, parsed.iter().map(|(split, ..)| *split).collect()))
}

/// Split, index, count and ending of a data file's name.
fn parse_shard(name: &str) -> Option<(&str, usize, usize, &str)> {
    let (stem, ending) = name.rsplit_once('.')?;
    let ending = ENDINGS.into_iter().find(|e| *e == ending)?;
    let Some((rest, of)) = stem.rsplit_once("-of-") else { return Some((stem, 0, 1, ending)) };
    let (split, index) = rest.rsplit_once('-')?;
    Some((split, index.parse().ok()?, of.parse().ok().filter(|&of| of < 100_000)?, ending))
}

fn read_files(
    files: &[String],
    source: Source,
    loader: Option<&str>,
    id: String,
) -> Result<Split, DatasetError> {
    let mut rows = Vec::new();
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let unreadable = |source| DatasetError::Unreadable { path: path.clone(), source };
        let bytes: Cow<'static, [u8]> = match source {
            Source::Disk => std::fs::read(path).map_err(unreadable)?.into(),
            Source::Builtin => builtin::read(path)
                .map_err(unreadable)?
                .ok_or_else(|| unreadable(std::io::ErrorKind::NotFound.into()))?,
        };
        hasher.update(&bytes);
        let ending = loader.unwrap_or_else(|| path.rsplit('.').next().unwrap_or_default());
        let read = match ending {
            "parquet" => parquet::read(bytes::Bytes::from(bytes.into_owned())),
            "csv" => csv::read(&bytes),
            "jsonl" | "json" => jsonl::read(&bytes),
            other => Err(format!("files of kind `{other}` are not read; parquet, jsonl and csv are")),
        };
        rows.extend(read.map_err(|what| DatasetError::Corrupt { path: path.clone(), what })?);
    }
    let sample = matches!(source, Source::Builtin);
    Ok(Split { rows: Arc::new(rows), id, fingerprint: hasher.finalize().into(), sample, expected_rows: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn shards_are_read_in_order_and_all() {
        let found =
            shards("f", "test", &names(&["test-00001-of-00002.parquet", "test-00000-of-00002.parquet"]));
        assert_eq!(found.unwrap(), ["f/test-00000-of-00002.parquet", "f/test-00001-of-00002.parquet"]);
        let error = shards("f", "test", &names(&["test-00001-of-00002.parquet"])).unwrap_err();
        assert_eq!(error.to_string(), "f: shard 0 of 2 is missing");
        assert_eq!(shards("f", "dev", &names(&["dev.csv"])).unwrap(), ["f/dev.csv"]);
        let error = shards("f", "tset", &names(&["test.csv", "train.jsonl", "README.md"])).unwrap_err();
        assert_eq!(error.to_string(), "f: no split `tset`, found test, train");
    }
}

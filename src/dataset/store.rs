//! Finds a split's files, reads them once, and checks them against their pin.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::columns::Columns;
use super::error::DatasetError;
use super::layout::{config_folder, entries, file_name, no_split, shards};
use super::manifest::Manifest;
use super::room::Fault;
use super::{content, csv, jsonl, parquet};
use crate::builtin;
use crate::disk;
use crate::task::{DatasetRef, closest};
use crate::vocabulary::{Fingerprint, Pin, Row, SplitRecord, is_lfs_pointer};

/// The rows of a split and what they were read from.
#[derive(Debug, Clone)]
pub struct Split {
    /// Its rows, in the file's order.
    pub rows: Arc<Vec<Row>>,
    /// The dataset id under which they were found.
    pub id: String,
    /// The configuration under which they were found, if there is one.
    pub config: Option<String>,
    /// Hash of the files' bytes, in shard order.
    pub fingerprint: Fingerprint,
    /// Hash over the rows, independent of the files that hold them.
    pub content: Fingerprint,
    /// How they compare with the dataset's manifest.
    pub pin: Pin,
}

impl Split {
    /// Whether the rows are built-in samples.
    pub fn is_sample(&self) -> bool {
        self.pin == Pin::Sample
    }

    /// Its entry in a run's record, under the name `split`.
    pub fn record(&self, split: &str) -> SplitRecord {
        SplitRecord {
            id: self.id.clone(),
            config: self.config.clone(),
            split: split.to_string(),
            rows: self.rows.len(),
            files: self.fingerprint.clone(),
            content: self.content.clone(),
            pin: self.pin.clone(),
        }
    }
}

/// Finds datasets and caches the splits that were read.
pub struct DatasetStore {
    root: Option<PathBuf>,
    manifests: Vec<Manifest>,
    allow_changes: bool,
    read: Mutex<HashMap<(DatasetRef, String), Slot>>,
}

/// A split, read by the first thread that requests it; all others wait. The reading thread must not run other
/// work meanwhile, as a pool's thread does while it waits for its own subtasks: that work could request the
/// same split, and deadlock.
type Slot = Arc<Mutex<Option<Split>>>;

impl DatasetStore {
    /// Datasets below `root`, in the hub's layout; the built-in samples if there is no root.
    ///
    /// # Errors
    /// `root` is not a folder, or a manifest is invalid.
    pub fn new(root: Option<PathBuf>) -> Result<Self, DatasetError> {
        if let Some(root) = &root {
            std::fs::read_dir(root)
                .map_err(|source| DatasetError::Unreadable { path: root.display().to_string(), source })?;
        }
        Ok(Self { root, manifests: Manifest::all()?, allow_changes: false, read: Mutex::default() })
    }

    /// The same store. With `allow`, rows that differ from their pin are not an error.
    pub fn allowing_changes(mut self, allow: bool) -> Self {
        self.allow_changes = allow;
        self
    }

    /// Whether `dataset` would come from the built-in samples.
    pub fn is_sampled(&self, dataset: &DatasetRef) -> bool {
        self.root.is_none() && dataset.data_files.is_empty()
    }

    /// All manifests.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// All rows of a split; read once, however many tasks request it.
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
        let found = self.read(dataset, split)?;
        if found.rows.is_empty() {
            return Err(DatasetError::Empty { path: found.id, split: split.to_string() });
        }
        if let Pin::Changed { expected, rows } = &found.pin
            && !self.allow_changes
        {
            return Err(DatasetError::Changed {
                root: self.root.as_deref().map(|root| root.display().to_string()).unwrap_or_default(),
                id: found.id,
                config: found.config.unwrap_or_else(|| "default".into()),
                split: split.to_string(),
                rows: found.rows.len(),
                found: found.content,
                expected_rows: *rows,
                expected: expected.clone(),
            });
        }
        *slot = Some(found.clone());
        Ok(found)
    }

    /// All rows of a split, read again, whatever its pin.
    ///
    /// # Errors
    /// See [`DatasetError`].
    pub fn read(&self, dataset: &DatasetRef, split: &str) -> Result<Split, DatasetError> {
        if !dataset.data_files.is_empty() {
            let Some((_, files)) = dataset.data_files.iter().find(|(name, _)| name == split) else {
                let found = dataset.data_files.iter().map(|(name, _)| name.as_str()).collect();
                return Err(no_split("data_files", split, found));
            };
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            let read = read_files(&files, Source::Disk, Some(&dataset.path), &Columns::default())?;
            return Ok(read.split(&dataset.path, dataset.config.clone(), |_| Pin::Unknown));
        }
        let manifest = self.manifests.iter().find(|manifest| manifest.hub_id == dataset.path);
        let Some(root) = &self.root else {
            let no_samples = || DatasetError::NoSamples { id: dataset.path.clone() };
            let manifest = manifest.ok_or_else(no_samples)?;
            let samples = manifest.samples.as_deref().ok_or_else(no_samples)?;
            let config = dataset.config.as_deref().unwrap_or("default");
            let folder = format!("datasets/{samples}/{config}");
            let names: Vec<String> =
                builtin::list(&folder).iter().map(|path| file_name(path).to_string()).collect();
            let files = shards(&folder, split, &names)?;
            let read = read_files(&files, Source::Builtin, None, &manifest.columns)?;
            return Ok(read.split(samples, dataset.config.clone(), |_| Pin::Sample));
        };
        let folder = self.folder(root, &dataset.path)?.display().to_string();
        let path = config_folder(&folder, dataset, &|path| entries(Path::new(path)))?;
        let files = shards(&path, split, &entries(Path::new(&path)))?;
        // Without a configuration name, the name of the folder that was found.
        let config = path.strip_prefix(&format!("{folder}/")).map(str::to_string);
        let none = Columns::default();
        let read =
            read_files(&files, Source::Disk, None, manifest.map_or(&none, |manifest| &manifest.columns))?;
        let declared = manifest.and_then(|manifest| manifest.split(config.as_deref(), split));
        let pin = |content: &Fingerprint| declared.map_or(Pin::Unknown, |declared| declared.pin(content));
        Ok(read.split(&dataset.path, config.clone(), pin))
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

struct ReadFiles {
    rows: Vec<Row>,
    fingerprint: Fingerprint,
}

impl ReadFiles {
    fn split(self, id: &str, config: Option<String>, pin: impl Fn(&Fingerprint) -> Pin) -> Split {
        let content = content::fingerprint(&self.rows);
        let pin = pin(&content);
        let Self { rows, fingerprint } = self;
        Split { rows: Arc::new(rows), id: id.to_string(), config, fingerprint, content, pin }
    }
}

fn read_files(
    files: &[String],
    source: Source,
    loader: Option<&str>,
    columns: &Columns,
) -> Result<ReadFiles, DatasetError> {
    let mut rows = Vec::new();
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let unreadable = |source| DatasetError::Unreadable { path: path.clone(), source };
        let bytes: Cow<'static, [u8]> = match source {
            Source::Disk => disk::read(path, disk::DATA).map_err(unreadable)?.into(),
            Source::Builtin => builtin::read(path)
                .map_err(unreadable)?
                .ok_or_else(|| unreadable(std::io::ErrorKind::NotFound.into()))?,
        };
        if is_lfs_pointer(&bytes) {
            return Err(DatasetError::Pointer { path: path.clone() });
        }
        hasher.update(&bytes);
        let ending = loader.unwrap_or_else(|| path.rsplit('.').next().unwrap_or_default());
        let read = match ending {
            "parquet" => parquet::read(bytes::Bytes::from(bytes.into_owned())),
            "csv" => csv::read(&bytes, columns),
            "jsonl" | "json" => jsonl::read(&bytes, columns),
            other => Err(Fault::Damaged(format!(
                "files of kind `{other}` are not read; parquet, jsonl and csv are"
            ))),
        };
        let path = path.clone();
        rows.extend(read.map_err(|fault| match fault {
            Fault::Damaged(what) => DatasetError::Corrupt { path, what },
            Fault::TooLarge(what) => DatasetError::TooLarge { path, what },
        })?);
    }
    columns.conform(&mut rows);
    Ok(ReadFiles { rows, fingerprint: hasher.finalize().into() })
}

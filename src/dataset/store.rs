//! Finding a split's files, reading them once, and holding them against their pin.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miette::Diagnostic;
use thiserror::Error;

use super::columns::Columns;
use super::layout::{config_folder, entries, file_name, no_split, shards};
use super::{Manifest, ManifestError, content, csv, jsonl, parquet};
use crate::builtin;
use crate::task::{DatasetRef, closest};
use crate::vocabulary::{Fingerprint, Pin, Row, SplitRecord};

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
    /// A split has other rows than those it is pinned to.
    #[error(
        "{root}: `{split}` of {id} ({config}) is not the hub's: {rows} rows with the hash {found}, expected {expected_rows} rows \
         with the hash {expected}"
    )]
    #[diagnostic(
        code(assay::input),
        help("download the dataset again, or go on with --allow-dataset-change: the run is then not ranked")
    )]
    Changed {
        /// The folder of datasets.
        root: String,
        /// The dataset's id.
        id: String,
        /// The configuration.
        config: String,
        /// The split.
        split: String,
        /// Rows read.
        rows: usize,
        /// Their hash.
        found: Fingerprint,
        /// Rows of the hub's split.
        expected_rows: usize,
        /// Their hash.
        expected: Fingerprint,
    },
    /// A manifest.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Manifest(#[from] ManifestError),
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
    /// The configuration that they were found under, where there is one.
    pub config: Option<String>,
    /// Hash of the files' bytes, in shard order.
    pub fingerprint: Fingerprint,
    /// Hash over the rows, whatever files they came in.
    pub content: Fingerprint,
    /// What the dataset's manifest says of them.
    pub pin: Pin,
}

impl Split {
    /// Whether the rows are built-in samples.
    pub fn is_sample(&self) -> bool {
        self.pin == Pin::Sample
    }

    /// What a run's record says of it, under the name `split`.
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

/// Where datasets are looked for.
pub struct DatasetStore {
    root: Option<PathBuf>,
    manifests: Vec<Manifest>,
    allow_changes: bool,
    read: Mutex<HashMap<(DatasetRef, String), Slot>>,
}

/// A split that is read, or will be by the first who asks; whoever else asks waits. Whoever reads must not run anything else
/// meanwhile, as a thread of a pool does where it waits for its own pieces: that could ask for the same split, and wait for itself.
type Slot = Arc<Mutex<Option<Split>>>;

impl DatasetStore {
    /// Datasets below `root`, in the hub's layout; the built-in samples where there is no root.
    ///
    /// # Errors
    /// `root` is no folder, or a manifest is none.
    pub fn new(root: Option<PathBuf>) -> Result<Self, DatasetError> {
        if let Some(root) = &root {
            std::fs::read_dir(root)
                .map_err(|source| DatasetError::Unreadable { path: root.display().to_string(), source })?;
        }
        Ok(Self { root, manifests: Manifest::all()?, allow_changes: false, read: Mutex::default() })
    }

    /// The same, which gives rows that are not those that they are pinned to, too, where `allow` says so.
    pub fn allowing_changes(mut self, allow: bool) -> Self {
        self.allow_changes = allow;
        self
    }

    /// Whether `split` would come from the built-in samples.
    pub fn is_sampled(&self, dataset: &DatasetRef) -> bool {
        self.root.is_none() && dataset.data_files.is_empty()
    }

    /// What is known of datasets before they are read.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
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

    /// All rows of a split, read anew, whatever its pin says.
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
        // Without a name it is that of the folder that was found.
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
            Source::Disk => std::fs::read(path).map_err(unreadable)?.into(),
            Source::Builtin => builtin::read(path)
                .map_err(unreadable)?
                .ok_or_else(|| unreadable(std::io::ErrorKind::NotFound.into()))?,
        };
        hasher.update(&bytes);
        let ending = loader.unwrap_or_else(|| path.rsplit('.').next().unwrap_or_default());
        let read = match ending {
            "parquet" => parquet::read(bytes::Bytes::from(bytes.into_owned())),
            "csv" => csv::read(&bytes, columns),
            "jsonl" | "json" => jsonl::read(&bytes),
            other => Err(format!("files of kind `{other}` are not read; parquet, jsonl and csv are")),
        };
        rows.extend(read.map_err(|what| DatasetError::Corrupt { path: path.clone(), what })?);
    }
    columns.conform(&mut rows);
    Ok(ReadFiles { rows, fingerprint: hasher.finalize().into() })
}

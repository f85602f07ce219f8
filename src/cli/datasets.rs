//! `assay datasets`: checks whether the rows are those that the manifests pin.

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::arguments::TableOrJson;
use super::failure::{self, Failure};
use super::output::{say, write_stdout};
use super::pins;
use super::screen::{format_of, paper};
use crate::dataset::{DatasetError, DatasetStore, DeclaredSplit, Manifest};
use crate::report::{Cell, Format, Table};
use crate::task::DatasetRef;
use crate::vocabulary::{Pin, SplitRecord};

/// `assay datasets`.
#[derive(Debug, Args)]
pub struct DatasetsArguments {
    /// Folder of datasets: <owner>/<name>/<config>/<split>-00000-of-00001.parquet (or .jsonl, .csv); only the pins without it
    #[arg(long, value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// A line for every split, not one for all configurations that agree
    #[arg(long)]
    pub all: bool,
    /// How to write the list; JSON has every split, and hashes in full [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TableOrJson>,
}

/// Lists every split that a manifest declares.
pub fn run(arguments: &DatasetsArguments) -> Result<ExitCode, Failure> {
    let format = format_of(arguments.format, TableOrJson::Json)?;
    let store = DatasetStore::new(arguments.datasets.clone())?;
    let splits: Vec<(&Manifest, &DeclaredSplit)> = store
        .manifests()
        .iter()
        .flat_map(|manifest| manifest.splits.iter().map(move |split| (manifest, split)))
        .collect();
    // Collected first, so that of several faults the first split's is reported.
    let checked: Vec<Result<Checked, DatasetError>> = splits
        .into_par_iter()
        .with_max_len(1)
        .map(|(manifest, declared)| check(&store, manifest, declared, arguments.datasets.is_some()))
        .collect();
    let checked = checked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let text = match format {
        TableOrJson::Json => {
            let all: Vec<Value> = checked.iter().map(Checked::json).collect();
            serde_json::to_string_pretty(&all).unwrap_or_default()
        }
        TableOrJson::Table => {
            table(&checked, arguments.all).render_on(Format::Table, paper(), &["Hash", "Pin"])
        }
    };
    write_stdout(&(text + "\n"))?;
    pins::announce(checked.iter().filter_map(|checked| checked.found.clone()));
    if let (Some(folder), Some(first)) = (&arguments.datasets, checked.first())
        && checked.iter().all(|checked| checked.verdict == Verdict::Missing)
    {
        let (folder, DeclaredSplit { config, split, .. }) = (folder.display(), first.declared);
        say!("error: none of the datasets is in {folder}");
        say!(
            "hint: datasets lie as on the hub: {folder}/{}/{config}/{split}-00000-of-00001.parquet (or .jsonl, .csv)",
            first.id
        );
        return Ok(ExitCode::from(failure::NO));
    }
    if checked.iter().any(|checked| checked.verdict == Verdict::Differs) {
        Ok(ExitCode::from(failure::NO))
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

/// A declared split and the one that was found.
struct Checked<'a> {
    id: &'a str,
    declared: &'a DeclaredSplit,
    found: Option<SplitRecord>,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    Differs,
    Unpinned,
    Missing,
    NotGiven,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Differs => "differs",
            Verdict::Unpinned => "unpinned",
            Verdict::Missing => "missing",
            Verdict::NotGiven => "not given",
        }
    }
}

fn check<'a>(
    store: &DatasetStore,
    manifest: &'a Manifest,
    declared: &'a DeclaredSplit,
    given: bool,
) -> Result<Checked<'a>, DatasetError> {
    let checked =
        |found: Option<SplitRecord>, verdict| Checked { id: &manifest.hub_id, declared, found, verdict };
    if !given {
        return Ok(checked(None, Verdict::NotGiven));
    }
    let config = Some(declared.config.clone());
    let dataset = DatasetRef { path: manifest.hub_id.clone(), config, data_files: Vec::new() };
    match store.read(&dataset, &declared.split) {
        Ok(split) => {
            let verdict = match &split.pin {
                Pin::Same | Pin::Own => Verdict::Same,
                Pin::Unpinned { rows, .. } if *rows == split.rows.len() => Verdict::Unpinned,
                _ => Verdict::Differs,
            };
            Ok(checked(Some(split.record(&declared.split)), verdict))
        }
        Err(
            DatasetError::NoDataset { .. } | DatasetError::NoConfig { .. } | DatasetError::NoSplit { .. },
        ) => Ok(checked(None, Verdict::Missing)),
        Err(error) => Err(error),
    }
}

impl Checked<'_> {
    fn json(&self) -> Value {
        let found = self.found.as_ref();
        json!({
            "id": self.id,
            "config": self.declared.config,
            "split": self.declared.split,
            "rows": found.map(|found| found.rows),
            "expected_rows": self.declared.rows,
            "content_blake3": found.map(|found| &found.content),
            "expected_content_blake3": self.declared.content.as_ref().ok(),
            "unpinned_because": self.declared.content.as_ref().err(),
            "files_blake3": found.map(|found| &found.files),
            "verdict": self.verdict.word(),
        })
    }

    /// Whether both may share a row of the table.
    fn agrees_with(&self, other: &Checked<'_>) -> bool {
        let kind = |checked: &Self| (checked.id, &checked.declared.split, checked.verdict);
        self.verdict != Verdict::Differs && kind(self) == (other.id, &other.declared.split, other.verdict)
    }

    fn rows(&self) -> usize {
        self.found.as_ref().map_or(self.declared.rows, |found| found.rows)
    }
}

/// Number of digits of a hash that a table shows.
const SHOWN: usize = 12;

fn table(checked: &[Checked<'_>], all: bool) -> Table {
    let mut groups: Vec<Vec<&Checked<'_>>> = Vec::new();
    for split in checked {
        match groups.iter_mut().find(|group| !all && group[0].agrees_with(split)) {
            Some(group) => group.push(split),
            None => groups.push(vec![split]),
        }
    }
    let short = |hash: String| Cell::Text(hash.chars().take(SHOWN).collect());
    let row = |group: &Vec<&Checked<'_>>| -> Vec<Cell> {
        let first = group[0];
        let (config, found, pin) = match group.len() {
            1 => {
                let found = first.found.as_ref().map_or("-".into(), |found| found.content.to_string());
                let pin = first.declared.content.as_ref().map_or("none".into(), ToString::to_string);
                (first.declared.config.clone(), found, pin)
            }
            several => (format!("{several} configurations"), "-".into(), "-".into()),
        };
        vec![
            Cell::Text(first.id.into()),
            Cell::Text(config),
            Cell::Text(first.declared.split.clone()),
            Cell::Count(group.iter().map(|split| split.rows() as u64).sum()),
            short(found),
            short(pin),
            Cell::Text(first.verdict.word().into()),
        ]
    };
    let head = ["Dataset", "Configuration", "Split", "Rows", "Hash", "Pin", "Verdict"];
    Table { head: head.map(str::to_string).to_vec(), rows: groups.iter().map(row).collect() }
}

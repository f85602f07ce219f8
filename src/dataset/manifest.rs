//! What is known about a dataset before it is read: `datasets/<name>.yaml`.

use std::path::Path;
use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;

use super::columns::{ColumnType, Columns};
use crate::builtin;
use crate::task::{Fields, Key, Node, SchemaError, Yaml, parse_yaml, text_of, wrong};
use crate::vocabulary::{Fingerprint, Pin};

/// A manifest that cannot be read.
#[derive(Debug, Error, Diagnostic)]
#[error("{what}")]
#[diagnostic(code(assay::input), help("{hint}"))]
pub struct ManifestError {
    what: String,
    hint: String,
}

const HINT: &str = "datasets/README.md shows what a manifest holds; a file with a `hub_id` is taken for one, any other is passed over";

impl From<SchemaError> for ManifestError {
    fn from(error: SchemaError) -> Self {
        let hint = match &error {
            // The hints of these errors fit manifests too.
            SchemaError::UnknownKey { .. } | SchemaError::MissingKey { .. } => error.help(),
            _ => None,
        };
        Self { what: error.to_string(), hint: hint.map_or_else(|| HINT.into(), |hint| hint.to_string()) }
    }
}

/// A dataset on the hub and the samples that stand in for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The dataset's id on the hub.
    pub hub_id: String,
    /// The id of the built-in samples, which have the same columns.
    pub samples: Option<String>,
    /// Types of its columns.
    pub columns: Columns,
    /// Its splits, in the file's order.
    pub splits: Vec<DeclaredSplit>,
}

/// A split as a manifest declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredSplit {
    pub config: String,
    pub split: String,
    /// Number of rows.
    pub rows: usize,
    /// Hash over its rows, or why none is given.
    pub content: Result<Fingerprint, String>,
    /// Whether this comes from a manifest in the working folder, not from a built-in one.
    pub own: bool,
}

impl DeclaredSplit {
    /// How rows that were read, with the hash `content`, compare with this.
    pub fn pin(&self, content: &Fingerprint) -> Pin {
        match &self.content {
            Ok(expected) if expected != content => {
                Pin::Changed { expected: expected.clone(), rows: self.rows }
            }
            _ if self.own => Pin::Own,
            Ok(_) => Pin::Same,
            Err(reason) => Pin::Unpinned { reason: reason.clone(), rows: self.rows },
        }
    }
}

impl Manifest {
    /// All manifests, of the working folder and built-in. A file that is not a manifest is skipped: the
    /// folder may hold a user's own files.
    ///
    /// # Errors
    /// A file that has a `hub_id` but is not a valid manifest, or a dataset with two manifests.
    pub fn all() -> Result<Vec<Manifest>, ManifestError> {
        let mut found: Vec<(Manifest, String)> = Vec::new();
        for path in builtin::list("datasets").into_iter().filter(|path| path.ends_with(".yaml")) {
            let bytes = builtin::read(&path).map_err(|error| ManifestError {
                what: format!("{path}: cannot be read: {error}"),
                hint: "check that the file is readable".into(),
            })?;
            let Some((mut manifest, place)) = read(&bytes.unwrap_or_default(), &path)? else { continue };
            let own = builtin::is_replaced(&path);
            manifest.splits.iter_mut().for_each(|split| split.own = own);
            if let Some((_, other)) = found.iter().find(|(other, _)| other.hub_id == manifest.hub_id) {
                return Err(ManifestError {
                    what: format!("{place}: `{}` has a manifest already, {other}", manifest.hub_id),
                    hint: "a manifest of the same file name replaces the built-in one".into(),
                });
            }
            found.push((manifest, path));
        }
        Ok(found.into_iter().map(|(manifest, _)| manifest).collect())
    }

    /// The declaration of a split.
    pub fn split(&self, config: Option<&str>, split: &str) -> Option<&DeclaredSplit> {
        let config = config.unwrap_or("default");
        self.splits.iter().find(|declared| declared.config == config && declared.split == split)
    }
}

/// The manifest in a file, and the position of its id; `None` if the file is not a manifest.
fn read(bytes: &[u8], path: &str) -> Result<Option<(Manifest, String)>, ManifestError> {
    // Only the raw text shows whether a broken file was meant to be a manifest.
    let named = bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"hub_id:"));
    let fault = |what: String| ManifestError { what, hint: HINT.into() };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) if named => return Err(fault(format!("{path}: no UTF-8 after byte {}", e.valid_up_to()))),
        Err(_) => return Ok(None),
    };
    let node = match parse_yaml(text, Arc::from(Path::new(path))) {
        Ok(node) => node,
        Err(error) if named => return Err(fault(error.to_string())),
        Err(_) => return Ok(None),
    };
    let id = match &node.yaml {
        Yaml::Map(entries) => entries.iter().find(|(key, _)| key.name == "hub_id"),
        _ => None,
    };
    let Some((_, id)) = id else { return Ok(None) };
    let place = id.place.to_string();
    Ok(Some((manifest(node)?, place)))
}

fn manifest(node: Node) -> Result<Manifest, SchemaError> {
    let mut fields = Fields::new(node, "a manifest")?;
    let hub_id = fields.required_text("hub_id", "owner/name")?;
    let samples = fields.text("samples")?;
    fields.ignore("license");
    let columns = match fields.take("columns") {
        Some(node) => entries(node, "columns")?.into_iter().map(column).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let mut splits = Vec::new();
    if let Some(configs) = fields.take("configs") {
        for (config, node) in entries(configs, "configs")? {
            for (split, node) in entries(node, "a configuration")? {
                splits.push(declared(config.name.clone(), split.name, node)?);
            }
        }
    }
    fields.finish()?;
    Ok(Manifest { hub_id, samples, columns: Columns::new(columns), splits })
}

fn entries(node: Node, what: &'static str) -> Result<Vec<(Key, Node)>, SchemaError> {
    Ok(Fields::new(node, what)?.rest())
}

fn column((name, node): (Key, Node)) -> Result<(String, ColumnType), SchemaError> {
    let text = text_of(&node, &name.name)?;
    let expected =
        "string, bool, int8 to int64, uint8 to uint64, float32, float64, list<..> or struct<name: .., ..>";
    let kind = ColumnType::parse(&text).ok_or_else(|| wrong(&node, &name.name, expected))?;
    Ok((name.name, kind))
}

fn declared(config: String, split: String, node: Node) -> Result<DeclaredSplit, SchemaError> {
    let mut fields = Fields::new(node, "a split")?;
    let place = fields.place().clone();
    let missing =
        |key, example| SchemaError::MissingKey { place: place.clone(), what: "a split", key, example };
    let rows = fields.count("rows")?.ok_or_else(|| missing("rows", "1000"))?;
    let content = match (fields.take("blake3"), fields.text("unpinned")?) {
        (Some(node), None) => {
            let expected = "64 hexadecimal digits";
            Ok(Fingerprint::parse(&text_of(&node, "blake3")?)
                .ok_or_else(|| wrong(&node, "blake3", expected))?)
        }
        (None, Some(reason)) => Err(reason),
        (None, None) => return Err(missing("blake3", "<what `assay datasets --format json` prints>")),
        (Some(node), Some(_)) => return Err(wrong(&node, "blake3", "no hash beside `unpinned`")),
    };
    fields.finish()?;
    Ok(DeclaredSplit { config, split, rows, content, own: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        read(text.as_bytes(), "m.yaml").map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_names_no_dataset_is_passed_over() {
        for text in ["", "[1]", "a: [", "license: mit\n", "- hub_id: x\n", "\u{0}"] {
            assert_eq!(read(text.as_bytes(), "m.yaml").unwrap(), None, "{text}");
        }
        assert_eq!(read(b"\xff", "m.yaml").unwrap(), None);
    }

    #[test]
    fn faults_have_places() {
        for (text, expected) in [
            ("hub_id: a/b\nx: [\n", "m.yaml:3:1: "),
            ("hub_id: a/b\ncolums: {}\n", "m.yaml:2:1: unknown key `colums` in a manifest"),
            ("hub_id: [a]\n", "m.yaml:1:9: `hub_id` is a list, expected text"),
            ("hub_id: a/b\ncolumns: {c: text}\n", "m.yaml:2:14: `c` is `text`, expected string, bool, "),
            (
                "hub_id: a/b\nconfigs: {c: {s: 5}}\n",
                "m.yaml:2:18: `a split` is a whole number, expected a mapping",
            ),
            ("hub_id: a/b\nconfigs: {c: {s: {rows: 5}}}\n", "m.yaml:2:18: a split has no `blake3`"),
            ("hub_id: a/b\nconfigs: {c: {s: {unpinned: x}}}\n", "m.yaml:2:18: a split has no `rows`"),
            (
                "hub_id: a/b\nconfigs: {c: {s: {rows: 5, blake3: abc}}}\n",
                "m.yaml:2:36: `blake3` is `abc`, expected 64 hexadecimal digits",
            ),
        ] {
            let found = complaint(text);
            assert!(found.starts_with(expected), "{text}: {found}");
        }
        let bytes = b"hub_id: a/b\n\xff";
        assert_eq!(read(bytes, "m.yaml").unwrap_err().to_string(), "m.yaml: no UTF-8 after byte 12");
    }
}

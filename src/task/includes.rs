//! Task files below a folder, the files that they include, and the tasks that one file expands to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::TaskError;
use super::fields::{SchemaError, text_of, wrong};
use super::template::{Columns, Template};
use super::yaml::{self, Document, extent};
use super::yaml_value::{Key, Node, Yaml};
use crate::builtin;
use crate::disk;
use crate::vocabulary::row;

pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

pub fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), TaskError> {
    if folder.is_file() {
        return Err(TaskError::NotAFolder { path: folder.display().to_string() });
    }
    let unreadable = |source| TaskError::Unreadable { path: folder.display().to_string(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            // Jupyter's copies of task files would declare every name twice.
            if path.ends_with(".ipynb_checkpoints") {
                continue;
            }
            walk(&path, files)?;
        } else if is_yaml(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn read_source(path: &Path, included: bool) -> Result<String, TaskError> {
    let shown = path.display().to_string();
    let unreadable = |source| TaskError::Unreadable { path: shown.clone(), source };
    let bytes = if included {
        disk::read(path, disk::TEXT).map_err(unreadable)?
    } else {
        let missing = || unreadable(std::io::Error::from(std::io::ErrorKind::NotFound));
        builtin::read(&shown).map_err(unreadable)?.ok_or_else(missing)?.into_owned()
    };
    String::from_utf8(bytes).map_err(|_| TaskError::NotText { path: shown })
}

/// The file's mapping merged over those it includes. The text of every file read is appended to `sources`, keys that occur twice to
/// `repeated`.
pub fn read_with_includes(
    path: &Path,
    included: bool,
    sources: &mut Vec<u8>,
    open: &mut Vec<PathBuf>,
    repeated: &mut Vec<Key>,
) -> Result<Node, TaskError> {
    let source = read_source(path, included)?;
    sources.extend_from_slice(source.as_bytes());
    let Document { root: mut node, repeated: keys } =
        yaml::parse_document(&source, Arc::from(path)).map_err(SchemaError::from)?;
    repeated.extend(keys);
    let Some(include) = get(&node, "include").cloned() else { return Ok(node) };
    open.push(path.to_path_buf());
    let targets = match include.yaml {
        Yaml::List(items) => items,
        _ => vec![include],
    };
    let mut inherited: Vec<(Key, Node)> = Vec::new();
    for target in targets {
        let file = path.parent().unwrap_or(Path::new("")).join(text_of(&target, "include")?);
        if open.contains(&file) {
            return Err(TaskError::Circle { place: target.place });
        }
        let base = match read_with_includes(&file, included, sources, open, repeated) {
            Err(TaskError::Unreadable { path, source }) => {
                return Err(TaskError::Include { place: target.place, path, source });
            }
            base => base?,
        };
        if let Yaml::Map(entries) = base.yaml {
            // A later include overrides an earlier one.
            inherited.retain(|(key, _)| !entries.iter().any(|(k, _)| k.name == key.name));
            inherited.extend(entries);
        }
    }
    open.pop();
    if let Yaml::Map(entries) = &mut node.yaml {
        inherited.retain(|(key, _)| !entries.iter().any(|(k, _)| k.name == key.name));
        entries.extend(inherited);
    }
    Ok(node)
}

pub fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.yaml {
        Yaml::Map(entries) => {
            entries.iter().find(|(k, _)| k.name == key).map(|(_, v)| v).filter(|v| v.yaml != Yaml::Null)
        }
        _ => None,
    }
}

/// A combination of `for_each` values, and the mapping filled with it.
type Expanded = (Map<String, Value>, Node);

/// Maximum tasks that one file may expand to, and maximum values in all of them.
const MAX_TASKS: usize = 10_000;
const MAX_VALUES: usize = 4_000_000;

/// One mapping for each combination of `for_each`'s values, with its names and datasets filled in.
pub fn expand(node: Node) -> Result<Vec<Expanded>, TaskError> {
    let Some(each) = get(&node, "for_each") else { return Ok(vec![(Map::new(), node)]) };
    let Yaml::Map(variables) = &each.yaml else {
        return Err(wrong(each, "for_each", "a mapping of names to lists").into());
    };
    let count = variables.iter().try_fold(1usize, |count, (_, values)| match &values.yaml {
        Yaml::List(items) => count.checked_mul(items.len()),
        _ => Some(count),
    });
    let values = count.and_then(|count| count.checked_mul(extent(&node).0));
    if count.is_none_or(|count| count > MAX_TASKS) || values.is_none_or(|values| values > MAX_VALUES) {
        let expected = format!("lists that make at most {MAX_TASKS} tasks of {MAX_VALUES} values in all");
        return Err(wrong(each, "for_each", &expected).into());
    }
    let mut combinations = vec![Map::new()];
    for (name, values) in variables {
        let Yaml::List(items) = &values.yaml else {
            return Err(wrong(values, &name.name, "a list of values").into());
        };
        combinations = combinations
            .iter()
            .flat_map(|combination| {
                items.iter().map(|item| {
                    let mut combination = combination.clone();
                    combination.insert(name.name.clone(), item.to_json());
                    combination
                })
            })
            .collect();
    }
    combinations
        .into_iter()
        .map(|constants| {
            let columns = Columns::new(row(constants.clone()));
            let mut node = node.clone();
            if let Yaml::Map(entries) = &mut node.yaml {
                for (key, value) in entries.iter_mut() {
                    if let ("task" | "task_alias" | "dataset_path" | "dataset_name", Yaml::Text(text)) =
                        (key.name.as_str(), &value.yaml)
                    {
                        let filled = Template::new(text, &value.place, value.block)?.render(&columns)?;
                        value.yaml = Yaml::Text(filled);
                    }
                }
            }
            Ok((constants, node))
        })
        .collect()
}

//! What is known of a dataset before it is read: `datasets/<name>.yaml`.

use std::path::Path;
use std::sync::Arc;

use crate::builtin;
use crate::task::{Node, Yaml, parse_yaml};

/// A dataset on the hub and the samples that stand in for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The hub's id.
    pub hub_id: String,
    /// The id of the built-in samples in the same columns.
    pub samples: String,
    /// Configuration, split and how many rows it has on the hub.
    rows: Vec<(String, String, usize)>,
}

impl Manifest {
    /// All manifests, of the working folder and of the binary. A file that is no manifest is passed over: the folder may hold a user's own.
    pub fn all() -> Vec<Manifest> {
        builtin::list("datasets")
            .into_iter()
            .filter(|path| path.ends_with(".yaml"))
            .filter_map(|path| {
                let bytes = builtin::read(&path).ok()??;
                let text = std::str::from_utf8(&bytes).ok()?;
                let node = parse_yaml(text, Arc::from(Path::new(&path))).ok()?;
                let (hub_id, samples) = (text_at(&node, "hub_id")?, text_at(&node, "samples")?);
                Some(Manifest { hub_id, samples, rows: rows(&node) })
            })
            .collect()
    }

    /// Rows that a split has on the hub, where the manifest knows it.
    pub fn rows_of(&self, config: Option<&str>, split: &str) -> Option<usize> {
        let config = config.unwrap_or("default");
        self.rows.iter().find(|(c, s, _)| c == config && s == split).map(|(_, _, rows)| *rows)
    }
}

fn rows(node: &Node) -> Vec<(String, String, usize)> {
    let map = |node: &Node| match &node.yaml {
        Yaml::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    let mut rows = Vec::new();
    let configs = map(node).into_iter().find(|(key, _)| key.name == "configs");
    for (config, splits) in configs.iter().flat_map(|(_, configs)| map(configs)) {
        for (split, count) in map(&splits) {
            if let Yaml::Int(count) = count.yaml {
                rows.push((config.name.clone(), split.name, count.max(0) as usize));
            }
        }
    }
    rows
}

fn text_at(node: &Node, key: &str) -> Option<String> {
    let Yaml::Map(entries) = &node.yaml else { return None };
    match &entries.iter().find(|(k, _)| k.name == key)?.1.yaml {
        Yaml::Text(text) => Some(text.clone()),
        _ => None,
    }
}

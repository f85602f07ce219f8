//! The hub's layout: `<owner>/<name>/<config>/<split>-00000-of-00001.parquet`.

use std::path::Path;

use super::error::DatasetError;
use crate::task::DatasetRef;

const ENDINGS: [&str; 4] = ["parquet", "jsonl", "json", "csv"];

/// Names in a folder, sorted; empty if it cannot be listed.
pub fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The configuration's folder. Without a name, the folder that the hub makes for a single configuration.
pub fn config_folder(
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

/// The error for a missing split.
pub fn no_split(path: &str, split: &str, mut found: Vec<&str>) -> DatasetError {
    found.sort_unstable();
    found.dedup();
    let found = if found.is_empty() { "no data files".into() } else { found.join(", ") };
    DatasetError::NoSplit { path: path.into(), split: split.into(), found }
}

/// The files of a split, in shard order: `<split>-00000-of-00002.<ending>`, or `<split>.<ending>`.
pub fn shards(folder: &str, split: &str, names: &[String]) -> Result<Vec<String>, DatasetError> {
    let parsed: Vec<(&str, usize, usize, &str)> = names.iter().filter_map(|name| parse_shard(name)).collect();
    let files = || parsed.iter().filter(|(s, ..)| *s == split);
    for ending in ENDINGS {
        let mut own: Vec<_> = files().filter(|(_, _, _, e)| *e == ending).collect();
        own.sort();
        let Some(&&(_, _, of, _)) = own.first() else { continue };
        // Two exports of one split: nothing says which is meant.
        let is_plain = |name: &String| *name == format!("{split}.{ending}");
        let twice = of == 1 && own.len() > 1 && names.iter().any(is_plain);
        if twice || files().any(|(_, _, other, e)| *e != ending || *other != of) {
            let own = names.iter().filter(|name| parse_shard(name).is_some_and(|(s, ..)| s == split));
            return Err(DatasetError::SplitTwice {
                path: folder.into(),
                split: split.into(),
                found: own.cloned().collect::<Vec<_>>().join(", "),
            });
        }
        for index in 0..of {
            if !own.iter().any(|(_, i, _, _)| *i == index) {
                return Err(DatasetError::NoShard { path: folder.into(), missing: index, shards: of });
            }
        }
        let plain = format!("{split}.{ending}");
        return Ok((0..of)
            .map(|i| {
                if names.contains(&plain) {
                    format!("{folder}/{plain}")
                } else {
                    format!("{folder}/{split}-{i:05}-of-{of:05}.{ending}")
                }
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
        for two in [
            ["test-00000-of-00001.csv", "test-00000-of-00002.csv"],
            ["test-00000-of-00001.csv", "test.csv"],
            ["test.csv", "test.jsonl"],
        ] {
            let error = shards("f", "test", &names(&two)).unwrap_err().to_string();
            assert_eq!(error, format!("f: split `test` is there more than once: {}", two.join(", ")));
        }
        let error = shards("f", "tset", &names(&["test.csv", "train.jsonl", "README.md"])).unwrap_err();
        assert_eq!(error.to_string(), "f: no split `tset`, found test, train");
    }
}

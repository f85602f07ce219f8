//! Invariants of the house, read off its own source. Each stands in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn src() -> Vec<(PathBuf, String)> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The room of a file: its first folder below src, or its own name.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_string()
}

/// Code without comments and without test modules.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// From the vocabulary down to the edge: a room may know those before it.
const ORDER: [&str; 19] = [
    "vocabulary",
    "python",
    "builtin",
    "statistics",
    "compare",
    "task",
    "dataset",
    "prompt",
    "kernels",
    "model",
    "tokenizer",
    "engine",
    "metric",
    "evaluate",
    "store",
    "report",
    "cli",
    "lib",
    "main",
];

#[test]
fn a_room_knows_only_what_is_above_it_in_the_map() {
    for (path, text) in src() {
        let own = room(&path);
        let place = ORDER.iter().position(|name| *name == own);
        let place = place.unwrap_or_else(|| panic!("{own} has no place in the map"));
        for line in code(&text).lines() {
            for used in line.match_indices("crate::").map(|(at, _)| &line[at + 7..]) {
                let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(known) = ORDER.iter().position(|room| *room == name) else { continue };
                assert!(known <= place, "{}: {own} must not know {name}", path.display());
            }
        }
    }
}

fn only_in(rooms: &[&str], needles: &[&str], why: &str) {
    for (path, text) in src() {
        if rooms.contains(&room(&path).as_str()) {
            continue;
        }
        let code = code(&text);
        for needle in needles {
            assert!(!code.contains(needle), "{}: `{needle}`: {why}", path.display());
        }
    }
}

#[test]
fn only_the_model_names_candle() {
    only_in(&["model"], &["candle_core", "candle_nn", "candle::"], "only model/ names candle");
}

#[test]
fn only_the_edge_prints_parses_arguments_and_draws_bars() {
    let words = ["println!", "eprintln!", "print!(", "dbg!(", "clap::", "indicatif::", "std::process::exit"];
    only_in(&["cli"], &words, "only cli/ prints, parses arguments and ends the process");
    // A terminal that is gone makes these panic.
    only_in(&[], &["println!", "print!("], "text goes through cli/output.rs");
}

#[test]
fn only_rooms_of_input_and_output_open_files() {
    let rooms = ["builtin", "task", "dataset", "model", "tokenizer", "store", "cli"];
    only_in(&rooms, &["std::fs", "fs::read", "File::open"], "this room gets its data, it does not fetch it");
}

#[test]
fn unsafe_code_stands_only_in_kernels() {
    for (path, text) in src() {
        assert!(room(&path) == "kernels" || !code(&text).contains("unsafe "), "{}: unsafe", path.display());
    }
}

#[test]
fn no_task_and_no_dataset_is_named_in_the_code() {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join("tasks/leaderboard_v1")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines() {
            for key in ["task: ", "dataset_path: ", "tag: ", "suite: "] {
                if let Some(value) = line.strip_prefix(key) {
                    let value = value.trim_matches('"').split("{{").next().unwrap().trim_end_matches('-');
                    names.insert(value.to_lowercase());
                    names.extend(value.split('/').next_back().map(str::to_lowercase));
                }
            }
        }
    }
    assert!(names.len() > 10, "{names:?}");
    for (path, text) in src() {
        let mut lower = code(&text).to_lowercase();
        // One flag is spelled with a task's name, since people look for it under that one; it holds for all tasks with views.
        if path.ends_with("cli/arguments.rs") {
            lower = lower.replacen("pub const views: &str = \"gsm8k-views\";", "", 1);
        }
        for name in &names {
            assert!(!lower.contains(name.as_str()), "{}: names `{name}`", path.display());
        }
    }
}

#[test]
fn files_are_rooms_not_halls() {
    let mut sizes: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (path, text) in src() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for vague in ["util", "utils", "helper", "helpers", "common", "manager", "misc"] {
            assert_ne!(name, vague, "{}: named for nothing", path.display());
        }
        sizes.insert(path, text.lines().count());
    }
    let halls: Vec<_> = sizes.iter().filter(|(_, lines)| **lines > 500).collect();
    assert!(halls.is_empty(), "longer than 500 lines: {halls:?}");
}

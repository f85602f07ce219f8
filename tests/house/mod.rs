//! Invariants of the house, read off its own source. Each stands in ARCHITECTURE.md.

mod imports;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The files of `src` with their texts, by their path below it.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() {
                walk(&path, &format!("{name}/"), found);
            } else if name.ends_with(".rs") {
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    found.sort();
    found
}

/// The room of a file: its first folder below `src`, or its own name.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// Code without comments and without test modules.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let text = text.split("#[cfg(test)]\npub(super) mod ").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// From the vocabulary down to the edge: a room may know those before it.
const ORDER: [&str; 22] = [
    "vocabulary",
    "disk",
    "bounds",
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
    "session",
    "cli",
    "lib",
    "main",
];

/// Fails where code outside `places` (rooms, folders or files) has one of `needles` in it.
fn only_in(places: &[&str], needles: &[&str], why: &str) {
    for (file, text) in sources() {
        let inside =
            |place: &&str| room(&file) == *place || file == *place || file.starts_with(&format!("{place}/"));
        if places.iter().any(inside) {
            continue;
        }
        let code = code(&text);
        for needle in needles {
            assert!(!code.contains(needle), "{file}: `{needle}`: {why}");
        }
    }
}

#[test]
fn only_the_plain_model_and_weight_encodings_name_candle() {
    let places = ["model/plain", "model/files/encoding.rs"];
    only_in(&places, &["candle_core", "candle_nn", "candle::"], "the plain path alone is candle's");
}

#[test]
fn kernels_know_no_file_format_and_no_library_of_models() {
    for (file, text) in sources().into_iter().filter(|(file, _)| room(file) == "kernels") {
        let code = code(&text).to_lowercase();
        for word in ["candle", "gguf", "safetensors", "std::fs", "serde", "llama"] {
            assert!(!code.contains(word), "{file}: `{word}`");
        }
    }
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
    let rooms =
        ["disk", "bounds", "builtin", "task", "dataset", "model", "tokenizer", "store", "session", "cli"];
    only_in(&rooms, &["std::fs", "fs::read", "File::open"], "this room gets its data, it does not fetch it");
}

#[test]
fn files_are_opened_by_one_door() {
    let opening = [
        "fs::read(",
        "fs::read_to_string(",
        "fs::write(",
        "fs::copy(",
        " File::",
        "(File::",
        "fs::File::",
        "OpenOptions",
    ];
    only_in(
        &["disk"],
        &opening,
        "files are opened by `disk`: regular ones, without waiting, not through links where they are written",
    );
    only_in(&["disk", "builtin"], &["temp_dir()"], "temporary files have names that nobody can guess");
}

#[test]
fn unsafe_code_stands_only_in_kernels() {
    only_in(&["kernels"], &["unsafe "], "unsafe code is for kernels and their memory");
}

#[test]
fn only_the_engine_in_this_process_knows_of_passes_and_logits() {
    let words = ["Forward for", "log_softmax", "TokenTree"];
    only_in(
        &["engine", "model", "kernels"],
        &words,
        "what is above the engine's seam knows of requests only",
    );
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
    for (file, text) in sources() {
        let mut lower = code(&text).to_lowercase();
        // One flag is spelled with a task's name, since people look for it under that one; it holds for all tasks with views.
        if file == "cli/eval_arguments.rs" {
            lower = lower.replacen("pub const views: &str = \"gsm8k-views\";", "", 1);
        }
        for name in &names {
            assert!(!lower.contains(name.as_str()), "{file}: names `{name}`");
        }
    }
}

#[test]
fn files_are_rooms_not_halls() {
    for (file, text) in sources() {
        let name = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        for vague in ["util", "utils", "helper", "helpers", "common", "manager", "misc"] {
            assert_ne!(name, vague, "{file}: named for nothing");
        }
        let lines = text.lines().count();
        assert!(lines <= 500, "{file}: {lines} lines, expected at most 500");
    }
}

/// Private words of earlier days, for which the field has a term.
#[test]
fn old_words_are_gone() {
    let words = ["Seen", "Asking", "Heard", "Forgetful", "Patience"];
    for (file, text) in sources() {
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            assert!(!words.contains(&word), "{file}: `{word}`");
        }
    }
}

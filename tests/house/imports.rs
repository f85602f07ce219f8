//! Which file imports which, read off the source: no cycles, and no import of a higher room.
//!
//! `mod x;` is an import of `x.rs` by its parent, and a path that ends at a re-export is an import of the file that re-exports. So a
//! file that takes something out of its own `mod.rs` is in a cycle with it. What stands below `#[cfg(test)]` is left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{ORDER, sources};

/// Pairs of files that may import each other, with the reason. At most six; nothing larger than a pair.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// Files of `src` by their path below it.
type Files = BTreeMap<String, String>;
/// A module's path: `crate::store::journal` is `["store", "journal"]`.
type Module = Vec<String>;
/// Importing file, imported file, and one path by which it does.
type Imports = BTreeMap<(String, String), String>;

fn files() -> Files {
    sources().into_iter().collect()
}

/// The text without comments, and with literals emptied.
fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i) = (String::new(), 0);
    while i < chars.len() {
        let before = if i == 0 { ' ' } else { chars[i - 1] };
        let begins_word = !(before.is_alphanumeric() || before == '_');
        match chars[i] {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && chars[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                i += 2;
                while i < chars.len() && !(chars[i] == '*' && at(i + 1) == '/') {
                    i += 1;
                }
                i += 2;
            }
            'r' if begins_word
                && (at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '"' | '#'))) =>
            {
                let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                i += hashes + 2;
                let ends = |i: usize| chars[i] == '"' && (1..=hashes).all(|k| at(i + k) == '#');
                while i < chars.len() && !ends(i) {
                    i += 1;
                }
                i += hashes + 1;
                out.push_str("\"\"");
            }
            '"' => {
                i += 1;
                while i < chars.len() && chars[i] != '"' {
                    i += if chars[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
                out.push_str("\"\"");
            }
            // A character, not a lifetime.
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
                out.push_str("''");
            }
            c => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

/// Words and signs, without the items below `#[cfg(test)]`.
fn tokens(text: &str) -> Vec<String> {
    let text = without_comments_and_literals(text);
    let mut all: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut word = c.to_string();
            while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(c);
            }
            all.push(word);
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            all.push("::".into());
        } else if !c.is_whitespace() {
            all.push(c.into());
        }
    }
    let marks = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut i) = (Vec::new(), 0);
    while i < all.len() {
        if !all[i..].iter().map(String::as_str).take(marks.len()).eq(marks) {
            kept.push(std::mem::take(&mut all[i]));
            i += 1;
            continue;
        }
        // The item ends with its first semicolon or block.
        let mut depth = 0;
        loop {
            match all.get(i).map(String::as_str) {
                Some("{") => depth += 1,
                Some("}") => depth -= 1,
                None => break,
                _ => {}
            }
            let ends = depth == 0 && matches!(all[i].as_str(), "}" | ";");
            i += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

/// The paths of a `use` tree.
fn expand(tree: &[String], before: &[String], paths: &mut Vec<Vec<String>>) {
    let (mut path, mut i) = (before.to_vec(), 0);
    while i < tree.len() {
        match tree[i].as_str() {
            "::" => {}
            "as" => break,
            "{" => {
                let (mut depth, mut start) = (0, i + 1);
                for (at, token) in tree.iter().enumerate().skip(i) {
                    match token.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    if (depth == 1 && token == ",") || depth == 0 {
                        expand(&tree[start..at], &path, paths);
                        start = at + 1;
                    }
                    if depth == 0 {
                        return;
                    }
                }
            }
            name => path.push(name.to_string()),
        }
        i += 1;
    }
    if path.len() > before.len() {
        paths.push(path);
    }
}

/// All paths of a file, those of `use` and those in expressions and types.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let is_name = |token: &String| token.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let (mut paths, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if tokens[i] == "use" {
            let end = tokens[i..].iter().position(|t| t == ";").map_or(tokens.len(), |length| i + length);
            expand(&tokens[i + 1..end], &[], &mut paths);
            i = end;
        } else if is_name(&tokens[i]) {
            let mut path = vec![tokens[i].clone()];
            while tokens.get(i + 1).is_some_and(|t| t == "::") && tokens.get(i + 2).is_some_and(is_name) {
                path.push(tokens[i + 2].clone());
                i += 2;
            }
            if path.len() > 1 {
                paths.push(path);
            }
        }
        i += 1;
    }
    paths
}

fn module_of(file: &str) -> Module {
    let path = file.trim_end_matches(".rs").split('/').map(str::to_string).collect::<Vec<_>>();
    match path.split_last() {
        Some((last, rest)) if last == "mod" || last == "lib" => rest.to_vec(),
        _ => path,
    }
}

/// Every import between files. A file that no `mod` outside tests names is not among them.
fn imports(files: &Files) -> Imports {
    let by_module: BTreeMap<Module, &str> =
        files.keys().filter(|file| *file != "main.rs").map(|file| (module_of(file), file.as_str())).collect();
    let mut imports = Imports::new();
    let mut reached = BTreeSet::from([Module::new()]);
    let mut waiting = VecDeque::from([Module::new()]);
    while let Some(module) = waiting.pop_front() {
        let Some(file) = by_module.get(&module) else { continue };
        let tokens = tokens(&files[*file]);
        let child = |name: &str| [module.as_slice(), &[name.to_string()]].concat();
        let mut add = |to: &Module, how: String| {
            if *to != module
                && let Some(to) = by_module.get(to)
            {
                imports.entry((file.to_string(), to.to_string())).or_insert(how);
            }
        };
        for declared in tokens.windows(3).filter(|t| t[0] == "mod" && t[2] == ";") {
            let declared = child(&declared[1]);
            add(&declared, format!("mod {}", declared.join("::")));
            if reached.insert(declared.clone()) {
                waiting.push_back(declared);
            }
        }
        for path in paths(&tokens) {
            let mut names = path.iter();
            let mut to: Module = match path[0].as_str() {
                "crate" => Module::new(),
                "self" | "super" => module.clone(),
                first if by_module.contains_key(&child(first)) => child(first),
                _ => continue,
            };
            if path[0] != "super" {
                names.next();
            }
            for name in names {
                let below = [to.as_slice(), std::slice::from_ref(name)].concat();
                match name.as_str() {
                    "super" => drop(to.pop()),
                    _ if by_module.contains_key(&below) => to = below,
                    _ => break,
                }
            }
            add(&to, path.join("::"));
        }
    }
    imports
}

/// The largest sets of files that import each other, of two or more.
fn knots(imports: &Imports) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        next.entry(from).or_default().push(to);
    }
    let reach = |from: &str| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from.to_string()]);
        while let Some(file) = waiting.pop() {
            for to in next.get(file.as_str()).into_iter().flatten() {
                if seen.insert(to.to_string()) {
                    waiting.push(to.to_string());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = next.keys().map(|file| (*file, reach(file))).collect();
    let mut knots: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, seen) in &reached {
        let knot: Vec<String> = seen
            .iter()
            .filter(|other| reached.get(other.as_str()).is_some_and(|back| back.contains(*file)))
            .cloned()
            .collect();
        if !knot.is_empty() {
            knots.insert(knot);
        }
    }
    knots.into_iter().collect()
}

/// What is wrong with the imports between `files`.
fn faults(files: &Files) -> Vec<String> {
    let imports = imports(files);
    let mut faults = Vec::new();
    for knot in knots(&imports) {
        let allowed = EXCEPTIONS.iter().any(|(a, b, _)| knot == [a.to_string(), b.to_string()]);
        if !allowed {
            let inside = imports.iter().filter(|((from, to), _)| knot.contains(from) && knot.contains(to));
            let inside: Vec<String> =
                inside.map(|((from, to), how)| format!("{from} -> {to} ({how})")).collect();
            faults.push(format!("files import each other: {}", inside.join(", ")));
        }
    }
    for ((from, to), how) in &imports {
        let place = |file: &str| {
            let name = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
            ORDER.iter().position(|room| *room == name)
        };
        match (place(from), place(to)) {
            (Some(own), Some(other)) if other > own => {
                faults.push(format!("{from} imports a higher room: {to} ({how})"));
            }
            (Some(_), Some(_)) => {}
            _ => faults.push(format!("{from} or {to} is in a room that has no place in the map")),
        }
    }
    faults
}

#[test]
fn no_file_is_in_a_cycle_and_no_import_runs_to_a_higher_room() {
    let files = files();
    assert!(files.len() > 200 && imports(&files).len() > 1000, "the source is read");
    let faults = faults(&files);
    assert!(faults.is_empty(), "{faults:#?}");
    let knots = knots(&imports(&files));
    assert!(EXCEPTIONS.len() <= 6);
    for (a, b, reason) in EXCEPTIONS {
        assert!(knots.contains(&vec![a.to_string(), b.to_string()]), "{a} and {b} need no exception");
        assert!(!reason.is_empty());
    }
}

#[test]
fn a_planted_cycle_is_found() {
    let planted = [
        // A sibling that is used already.
        ("store/journal.rs", "use super::journaling_ledger::JournalingLedger;"),
        ("store/journal.rs", "fn f() { let _ = super::journaling_ledger::JournalingLedger::session; }"),
        // Out of one's own mod.rs: by its re-export, by its path from the root, among others, by a glob, in a macro.
        ("engine/tree.rs", "use super::Engine;"),
        ("engine/tree.rs", "use crate::engine::Engine;"),
        ("engine/tree.rs", "use crate::{engine::{self, Sequence as _}, vocabulary::Response};"),
        ("engine/tree.rs", "use super::*;"),
        ("engine/tree.rs", "fn f() { assert!(matches!(x, super::Engine)); }"),
        // By way of a parent's parent.
        ("kernels/gemm/args.rs", "use super::super::gemm::multiply::multiply_into;"),
        ("model/arch/llama.rs", "pub(super) use super::super::language_model::Model;"),
        // A higher room.
        ("vocabulary/request.rs", "use crate::statistics::mean;"),
        ("kernels/team.rs", "fn f() -> crate::model::Dtype { todo!() }"),
        ("evaluate/run.rs", "use super::super::session::Notice;"),
    ];
    let clean = files();
    for (file, line) in planted {
        let mut files = clean.clone();
        let text = files.get_mut(file).unwrap_or_else(|| panic!("{file}"));
        *text = format!("{line}\n{text}");
        assert!(faults(&files).iter().any(|fault| fault.contains(file)), "{file}: {line}");
    }
    // What is no import.
    for line in
        ["// use super::Engine;", "const X: &str = \"super::Engine\";", "#[cfg(test)]\nuse super::Engine;"]
    {
        let mut files = clean.clone();
        let text = files.get_mut("engine/tree.rs").unwrap();
        *text = format!("{line}\n{text}");
        assert_eq!(faults(&files), faults(&clean), "{line}");
    }
}

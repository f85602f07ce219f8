//! Problems that people reported of other tools, with the right values: `../shared/field`, a folder a case.

use std::path::Path;
use std::process::Command;

use crate::material::shared;

/// Cases that are not right yet.
const OPEN: [&str; 0] = [];

#[test]
fn what_the_field_reported_is_right_here() {
    let Some(field) = shared("field") else { return };
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3 to check the cases with");
        return;
    }
    let mut cases: Vec<_> = std::fs::read_dir(&field).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.join("expected.json").exists());
    cases.sort();
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if OPEN.contains(&name.as_str()) {
            continue;
        }
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(field.join("check.py"), copy.path().join("check.py")).unwrap();
        copy_with_links(&case, &copy.path().join(&name));
        let mut check = Command::new("python3");
        check.arg("check.py").arg(&name).current_dir(copy.path());
        let output = check.env("ASSAY", env!("CARGO_BIN_EXE_assay")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        wrong.extend(
            text.lines().filter(|line| line.starts_with("WRONG")).map(|line| format!("{name}: {line}")),
        );
        assert!(output.status.success() || text.contains("WRONG"), "{name}: {text}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Copies a folder. Links may have become files with the path in them on their way here: these are followed.
fn copy_with_links(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_with_links(&path, &target);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let linked = std::str::from_utf8(&bytes).ok().filter(|text| text.starts_with("../"));
        match linked.map(|link| from.join(link.trim())).filter(|linked| linked.is_file()) {
            Some(linked) => std::fs::copy(linked, target).map(|_| ()).unwrap(),
            None => std::fs::write(target, bytes).unwrap(),
        }
    }
}

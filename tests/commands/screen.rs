//! What is shown, and how: errors, quiet, verbose, JSON, colours, widths.

use super::compared_runs::FAMILY;
use super::{assay, repository, run, stderr, stdout};

const EVAL: [&str; 5] = ["eval", "--tasks", "winogrande", "--limit", "2"];

#[test]
fn every_error_begins_alike() {
    for (arguments, code) in [
        (vec![], 2),
        (vec!["fly"], 2),
        (vec!["eval"], 2),
        (vec!["eval", "--tasks", "no-such-task"], 2),
        (vec!["plan", "--tasks", "winogrande", "--kv-memory", "much"], 2),
        (vec!["leaderboard", "--format", "xml"], 2),
        (vec!["leaderboard", "--color", "red"], 2),
        (vec!["leaderboard", "-q", "-v"], 2),
        (vec!["leaderboard", "--json", "--format", "csv"], 2),
        (vec!["tasks", "--json"], 2),
        (vec!["datasets", "--datasets", "."], 1),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        let said = stderr(&output);
        let mut lines = said.lines();
        assert!(lines.next().unwrap().starts_with("error: "), "{arguments:?}: {said}");
        assert!(lines.next().unwrap().starts_with("hint: "), "{arguments:?}: {said}");
    }
}

#[test]
fn quiet_keeps_what_changes_the_meaning_and_verbose_says_more() {
    let said = |flag: &str| {
        let output = run(&[&EVAL[..], &[flag]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        (stdout(&output), stderr(&output))
    };
    let (table, quiet) = said("-q");
    let (same, verbose) = said("--verbose");
    assert_eq!(table, same, "data is the same");
    assert!(quiet.contains("note: no --datasets: the rows are built-in samples"), "{quiet}");
    assert!(!quiet.contains("results in") && !quiet.contains("tokens"), "{quiet}");
    assert!(verbose.contains("read ") && verbose.contains("winogrande.yaml"), "{verbose}");
    assert!(verbose.contains("\nevaluating: ") && verbose.contains("tokenizer.json\n"), "{verbose}");
}

#[test]
fn json_is_the_format_of_that_name() {
    for command in [vec!["leaderboard"], vec!["datasets"], vec!["cache"]] {
        let short = stdout(&run(&[&command[..], &["--json"]].concat()));
        let long = stdout(&run(&[&command[..], &["--format", "json"]].concat()));
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        // The folder of a cache is each command's own here.
        if command != ["cache"] {
            assert_eq!(short, long);
        }
        assert!(!parsed(&short).is_null());
    }
    let output = run(&[&EVAL[..], &["--json", "-q"]].concat());
    let results: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(results["results"]["winogrande"].is_object(), "{results}");
}

#[test]
fn colours_are_on_where_they_are_asked_for() {
    let said = |flag: &str, set: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = assay(folder.path());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").args(["fly", flag]);
        stderr(&command.envs(set.iter().copied()).output().unwrap())
    };
    let colored = |text: String| {
        assert!(text.contains("error:"), "{text}");
        text.starts_with("\u{1b}[1;31merror:\u{1b}[0m ")
    };
    assert!(!colored(said("--color=auto", &[])));
    assert!(colored(said("--color=always", &[("NO_COLOR", "1")])));
    assert!(colored(said("--color=auto", &[("CLICOLOR_FORCE", "1")])));
    assert!(!colored(said("--color=auto", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])));
    assert!(!colored(said("--color=never", &[("CLICOLOR_FORCE", "1")])));
}

#[test]
fn tables_fit_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for width in [40, 80, 120] {
        for arguments in [
            vec!["leaderboard"],
            vec!["datasets"],
            EVAL.to_vec(),
            vec!["eval", "--tasks", "all", "--limit", "1"],
            vec!["plan", "--tasks", "all", "--limit", "1"],
            vec!["runs"],
            vec!["cache"],
        ] {
            let mut command = assay(folder.path());
            let output = command.env("COLUMNS", width.to_string()).args(&arguments).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            let table = stdout(&output);
            let longest = table.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{arguments:?}: {longest} of {width} columns:\n{table}");
        }
    }
    for width in [40, 80] {
        for arguments in [
            vec!["compare", "runs/merge", "runs/a", "runs/b", "--flips"],
            vec!["verify", "runs/merge"],
            vec!["verify", "runs/merge", "--against", "runs/a"],
            vec!["runs", "--results", "runs"],
            vec!["leaderboard", "--results", "runs"],
        ] {
            let mut command = assay(FAMILY.path());
            let output = command.env("COLUMNS", width.to_string()).args(&arguments).output().unwrap();
            let text = stdout(&output);
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{arguments:?}: {longest} of {width} columns:\n{text}");
        }
    }
    let mut narrow = assay(folder.path());
    narrow.current_dir(repository("tests")).env("COLUMNS", "40").arg("leaderboard");
    let blocks = stdout(&narrow.output().unwrap());
    insta::assert_snapshot!(blocks, @r"
    Gille/StrangeMerges_21-7B-slerp
      Average    76.29
      ARC        74.23
      HellaSwag  88.95
      MMLU       65.05
      TruthfulQA 73.81
      Winogrande 84.61
      GSM8K      71.11

    Gille/StrangeMerges_24-7B-slerp
      Average    76.21
      ARC        73.98
      HellaSwag  89.09
      MMLU       64.99
      TruthfulQA 75.52
      Winogrande 84.69
      GSM8K      68.99
    ");
}

//! Runs by name, folders of runs, recipes, and which run is the merge.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::compared_runs::FAMILY;
use super::{assay, repository, stderr, stdout};

fn command(folder: &Path, arguments: &[&str]) -> Output {
    assay(folder).args(arguments).output().unwrap()
}

/// A copy of the sample model at `place`.
fn model_at(place: &Path) {
    std::fs::create_dir_all(place).unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(repository("sample_model").join(file), place.join(file)).unwrap();
    }
}

const TASK: [&str; 6] = ["eval", "--tasks", "winogrande", "--limit", "2", "--samples"];

fn evaluated(folder: &Path, more: &[&str]) -> Output {
    let output = command(folder, &[&TASK[..], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn runs(folder: &Path, more: &[&str]) -> Vec<Value> {
    let output = command(folder, &[&["runs", "--format", "json"], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn runs_are_found_by_name_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let none = command(place, &["runs"]);
    assert!(none.status.success());
    assert!(stderr(&none).contains("note: no runs: there is no folder `results` here"));
    assert!(stderr(&command(place, &["leaderboard"])).contains("there is no folder `results` here"));
    assert_eq!(command(place, &["leaderboard", "--results", "nowhere"]).status.code(), Some(2));

    evaluated(place, &["--name", "first", "--results", "mine"]);
    evaluated(place, &["--name", "second", "--results", "mine"]);
    evaluated(place, &["--name", "second", "--results", "mine", "--no-cache"]);
    let listed = runs(place, &["--results", "mine"]);
    let facts: Vec<(&Value, &Value, &Value)> =
        listed.iter().map(|run| (&run["model"], &run["limit"], &run["state"])).collect();
    assert_eq!(facts, [(&json!("sample_model"), &json!(2), &json!("finished")); 3]);
    assert_eq!(listed[2]["name"], "first");
    let table = stdout(&command(place, &["runs", "--results", "mine"]));
    let second: Vec<&str> = table.lines().filter(|line| line.contains("second")).collect();
    assert_eq!(second.len(), 1, "repeated runs are one line: {table}");
    assert!(second[0].split_whitespace().any(|word| word == "2"), "{table}");
    let said = stderr(&command(place, &["leaderboard", "--results", "mine"]));
    assert!(said.contains("1 older runs of the same model, tasks and settings"), "{said}");

    let verify = |name: &str| command(place, &["verify", name, "--results", "mine"]);
    assert!(verify("first").status.success(), "{}", stdout(&verify("first")));
    assert!(verify("second").status.success());
    let output = verify("fisrt");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: fisrt: no such run: neither a folder nor the name of a run in mine\n\
         hint: did you mean `first`? `assay runs` lists all\n"
    );
    // A folder of a run of that name wins.
    std::fs::rename(place.join(listed[2]["folder"].as_str().unwrap()), place.join("second")).unwrap();
    let output = command(place, &["verify", "first", "--results", "mine"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(command(place, &["verify", "second", "--results", "nowhere"]).status.success());
}

#[test]
fn a_newer_run_and_the_same_weights_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    evaluated(place, &["--name", "merge"]);
    evaluated(place, &["--name", "parent"]);
    let compared = command(place, &["compare", "merge", "parent"]);
    let warning =
        "warning: merge and parent are runs of the same weights: nothing of a merge can show between them\n";
    assert!(stderr(&compared).contains(warning), "{}", stderr(&compared));
    let against = stdout(&command(place, &["verify", "merge", "--against", "parent"]));
    assert!(against.contains("same         model weights and config, under another name\n"), "{against}");

    // A newer run of other tasks that was killed.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    evaluated(place, &["--name", "merge", "--num-fewshot", "0"]);
    let newest = runs(place, &[])[0]["folder"].as_str().unwrap().to_string();
    std::fs::remove_file(place.join(&newest).join("run.json")).unwrap();
    let said = stderr(&command(place, &["verify", "merge"]));
    assert!(said.contains("the newest finished of the 2 runs of that name\n"), "{said}");
    assert!(said.contains(&format!("note: {newest}, a newer run of that name, is not finished: ")), "{said}");
}

#[test]
fn names_that_make_no_folder_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(245);
    for (name, why) in [
        (long.as_str(), "it has 245 characters, expected at most 100"),
        ("a/b", "it has '/'"),
        ("", "it is empty"),
    ] {
        let output = command(folder.path(), &[&TASK[..], &["--name", name]].concat());
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(why) && said.contains("hint: give a short name without slashes"), "{said}");
    }
    model_at(&folder.path().join(&long));
    let output = command(folder.path(), &[&TASK[..], &["--model", &long]].concat());
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("hint: give the run a shorter name with --name"), "{said}");
    assert!(!folder.path().join("results").exists());
}

#[test]
fn a_model_is_named_as_it_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let hub = place.join("hub/models--owner--tiny");
    model_at(&hub.join("snapshots/0a1b2c"));
    std::fs::create_dir(hub.join("refs")).unwrap();
    std::fs::write(hub.join("refs/main"), "0a1b2c\n").unwrap();
    std::os::unix::fs::symlink(hub.join("snapshots/0a1b2c"), place.join("linked")).unwrap();
    for (typed, name) in [
        ("hub/models--owner--tiny", "tiny"),
        ("hub/models--owner--tiny/snapshots/0a1b2c", "tiny"),
        ("linked", "linked"),
    ] {
        evaluated(place, &["--model", typed, "--output", &format!("out-{name}-{}", typed.len())]);
        let run =
            std::fs::read_to_string(place.join(format!("out-{name}-{}/run.json", typed.len()))).unwrap();
        let run: Value = serde_json::from_str(&run).unwrap();
        assert_eq!((&run["name"], &run["model"]["name"]), (&json!(name), &json!(name)), "{typed}");
    }
    std::fs::write(hub.join("refs/main"), "9999").unwrap();
    let output = command(place, &[&TASK[..], &["--model", "hub/models--owner--tiny"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("refs/main names the snapshot `9999`, which is not there"));
}

#[test]
fn a_run_is_not_written_among_others() {
    let folder = tempfile::tempdir().unwrap();
    evaluated(folder.path(), &[]);
    let output = command(folder.path(), &[&TASK[..], &["--output", "results"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output)
            .starts_with("error: results: the folder holds other runs, such as results/sample_model-"),
        "{}",
        stderr(&output)
    );
    assert!(!folder.path().join("results/journal").exists());
}

#[test]
fn the_merge_is_told_by_recipe_by_flag_or_by_order_and_said() {
    let place = FAMILY.path();
    // Another copy of the family in which the merge has a recipe; its name sorts last.
    let folder = tempfile::tempdir().unwrap();
    for (name, from) in [("sm-a", "a"), ("sm-b", "b"), ("sm-z", "merge")] {
        let model = folder.path().join(name);
        std::fs::create_dir(&model).unwrap();
        for entry in std::fs::read_dir(place.join(from)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
        }
    }
    let eval =
        |name: &str| evaluated(folder.path(), &["--model", name, "--output", &format!("results/{name}")]);
    for name in ["sm-a", "sm-b", "sm-z"] {
        eval(name);
    }
    let sorted = ["compare", "results/sm-a", "results/sm-b", "results/sm-z"];
    let output = command(folder.path(), &sorted);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).ends_with("hint: say it with --merge RUN; the others are its parents then\n"));
    let first_line = |arguments: &[&str]| {
        let output = command(folder.path(), arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        (stdout(&output).lines().next().unwrap().to_string(), stderr(&output))
    };
    let asked = first_line(&[&sorted[..], &["--merge", "sm-z"]].concat());
    assert_eq!(asked.0, "merge: sm-z (by --merge); parents: sm-a, sm-b");
    let ordered = first_line(&["compare", "sm-z", "sm-a", "sm-b"]);
    assert_eq!(ordered.0, "merge: sm-z (the first given); parents: sm-a, sm-b");

    let recipe = "models:\n  - model: owner/sm-a\n  - model: owner/other\nmerge_method: linear\n";
    std::fs::write(folder.path().join("sm-z/mergekit_config.yml"), recipe).unwrap();
    std::fs::remove_dir_all(folder.path().join("results/sm-z")).unwrap();
    eval("sm-z");
    let run = std::fs::read_to_string(folder.path().join("results/sm-z/run.json")).unwrap();
    let run: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(run["merge"]["parents"], json!(["owner/sm-a", "owner/other"]));
    // sha256sum of the file
    assert_eq!(run["merge"]["recipe_sha256"], RECIPE_SHA256);
    let (line, said) = first_line(&sorted);
    assert_eq!(line, "merge: sm-z (by its recipe); parents: sm-a, sm-b");
    assert!(said.contains("note: sm-z is the merge, by the recipe in its model's folder"), "{said}");
    assert!(
        said.contains(
            "results/sm-b: the recipe of sm-z does not name it as a parent; it names owner/sm-a, owner/other"
        ),
        "{said}"
    );
    let contrary = first_line(&["compare", "--merge", "sm-a", "sm-z"]);
    assert!(
        contrary.1.contains("results/sm-z: its recipe names sm-a as a parent, not the other way round"),
        "{contrary:?}"
    );
}

const RECIPE_SHA256: &str = "7757c4b6013c4881ce7cedf5a7ee55fd34f34dac44b518aebe2b1ec26cdbeeab";

#[test]
fn another_model_does_not_spoil_a_comparison() {
    let against = |other: &str| command(FAMILY.path(), &["verify", "runs/merge", "--against", other]);
    let output = against("runs/a");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let said = stdout(&output);
    assert!(said.starts_with("the point    model weights: "), "{said}");
    assert!(said.contains("the point    scores: ") && !said.contains("differs "), "{said}");
    assert!(said.ends_with("none spoils it\n"), "{said}");
    super::compared_runs::evaluate(
        FAMILY.path(),
        "a",
        "runs/half",
        &["--tasks", "winogrande", "--dtype", "bf16"],
    );
    let output = against("runs/half");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("differs      model dtype: "), "{}", stdout(&output));
}

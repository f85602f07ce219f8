//! Runs that were killed, and runs with a damaged record: they are listed, with what goes on with them.

use std::path::{Path, PathBuf};

use super::{assay, stderr, stdout};

const JOB: [&str; 7] = ["eval", "--tasks", "winogrande", "--limit", "3", "--output", "results/one"];

/// A finished run in `results/one`.
fn finished() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = assay(folder.path()).args(JOB).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    folder
}

/// What a process that was killed leaves: the journal up to its first answers, and nothing else.
fn killed(folder: &Path) -> PathBuf {
    let run = folder.join("results/one");
    let journal = std::fs::read_to_string(run.join("journal")).unwrap();
    let kept: Vec<&str> = journal.split_inclusive('\n').take(4).collect();
    assert!(kept[2].contains("\"answer\""), "{journal}");
    std::fs::remove_dir_all(&run).unwrap();
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("journal"), kept.concat()).unwrap();
    run
}

const GO_ON: &str = "assay eval --tasks winogrande --limit 3 --output results/one";

#[test]
fn a_killed_run_is_listed_with_the_command_that_goes_on() {
    let folder = finished();
    let run = killed(folder.path());
    let assay_ = |arguments: &[&str]| assay(folder.path()).args(arguments).output().unwrap();
    let listed = assay_(&["leaderboard"]);
    assert!(listed.status.success());
    assert!(
        stdout(&listed).contains("unfinished: it has a journal, and no run.json yet"),
        "{}",
        stdout(&listed)
    );
    let listed: serde_json::Value =
        serde_json::from_str(&stdout(&assay_(&["leaderboard", "--format", "json"]))).unwrap();
    let row = listed.as_array().unwrap().last().unwrap();
    assert_eq!((row["Run"].as_str(), row["Average"].is_null()), (Some("results/one"), true));
    assert!(row["Not ranked"].as_str().unwrap().ends_with(GO_ON), "{row}");
    for command in [&["verify", "results/one"][..], &["compare", "results/one", "results/two"]] {
        let output = assay_(command);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.starts_with("error: results/one: the run is not finished: it has a journal, and no run.json yet\nhint: go on with: "), "{said}");
        assert!(said.trim_end().ends_with(GO_ON), "{said}");
    }
    // The command that is named goes on, and the run is finished then.
    let words: Vec<&str> = GO_ON.split(' ').skip(1).collect();
    let output = assay_(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("going on with the run in results/one"));
    assert!(run.join("run.json").exists());
    assert!(assay_(&["verify", "results/one"]).status.success());
}

#[test]
fn a_run_that_another_process_writes_is_said_to_be_in_progress() {
    let folder = finished();
    let run = killed(folder.path());
    let journal = std::fs::OpenOptions::new().read(true).write(true).open(run.join("journal")).unwrap();
    journal.lock().unwrap();
    let output = assay(folder.path()).args(["verify", "results/one"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: results/one: the run is not finished: another process is working on it, 2 answers are kept\n\
         hint: wait until it is done\n"
    );
}

#[test]
fn a_damaged_record_is_said_with_its_place_and_written_again() {
    let folder = finished();
    let record = folder.path().join("results/one/run.json");
    let text = std::fs::read_to_string(&record).unwrap();
    let torn = text.replacen("\"interrupted\": false", "\"interrupted\": nope", 1);
    let line = 1 + torn[..torn.find("nope").unwrap()].matches('\n').count();
    std::fs::write(&record, torn).unwrap();
    let place = format!("results/one/run.json:{line}:");
    let assay_ = |arguments: &[&str]| assay(folder.path()).args(arguments).output().unwrap();
    for command in [&["verify", "results/one"][..], &["compare", "results/one", "results/two"]] {
        let output = assay_(command);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.starts_with(&format!("error: {place}")) && said.contains(": damaged: "), "{said}");
        assert!(said.trim_end().ends_with(GO_ON), "{said}");
    }
    let listed = stdout(&assay_(&["leaderboard", "--format", "csv"]));
    assert!(listed.contains(&format!("damaged: {place}")), "{listed}");
    // The file stands once, and what to do in a line of its own.
    let listed = stdout(&assay_(&["runs"]));
    let (_, advice) = listed.split_once("\n\n").unwrap();
    assert!(advice.starts_with(&place) && advice.matches("results/one/run.json").count() == 1, "{advice}");
    assert!(
        advice.lines().nth(1).is_some_and(|line| line.starts_with("  ") && line.ends_with(GO_ON)),
        "{advice}"
    );
    assert!(assay_(&JOB).status.success());
    assert_eq!(assay_(&["verify", "results/one"]).status.code(), Some(0));
}

/// What was edited is no score of the run: nothing shows or computes from it, and its command writes it again.
#[test]
fn an_edited_or_missing_file_is_no_finished_run() {
    let folder = finished();
    let place = folder.path().join("results/one");
    let assay_ = |arguments: &[&str]| assay(folder.path()).args(arguments).output().unwrap();
    let column = |row: &serde_json::Value| (row["Winogrande"].clone(), row["Not ranked"].clone());
    let row = || {
        let rows: serde_json::Value =
            serde_json::from_str(&stdout(&assay_(&["leaderboard", "--json"]))).unwrap();
        column(rows.as_array().unwrap().last().unwrap())
    };
    assert!(row().0.is_number());
    for (file, from, to) in [
        ("results.json", "\"Winogrande\": ", "\"Winogrande\": 1"),
        ("samples/winogrande.jsonl", "\"acc\":", "\"acc\": "),
        ("run.json", "\"threads\": ", "\"threads\": 1"),
        ("samples/winogrande.jsonl", "", ""),
        ("results.json", "", ""),
    ] {
        let path = place.join(file);
        match from {
            "" => std::fs::remove_file(&path).unwrap(),
            from => {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(text.contains(from), "{file}");
                std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            }
        }
        let (score, why) = row();
        assert!(score.is_null(), "{file}: {score}");
        let why = why.as_str().unwrap();
        assert!(why.starts_with(&format!("damaged: results/one/{file}: ")), "{why}");
        let runs: serde_json::Value = serde_json::from_str(&stdout(&assay_(&["runs", "--json"]))).unwrap();
        assert_eq!(runs[0]["state"], "damaged", "{file}");
        assert_eq!(assay_(&["compare", "results/one", "results/one/"]).status.code(), Some(2));
        assert!(assay_(&JOB).status.success());
        assert!(row().0.is_number() && assay_(&["verify", "results/one"]).status.success(), "{file}");
    }
}

/// The names and the folder that a reader of another place needs.
#[test]
fn a_killed_run_elsewhere_is_gone_on_with_where_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap();
    let job = ["eval", "--tasks", "winogrande", "--limit", "3", "--output", "results/one", "--name", "mine"];
    assert!(assay(&place).args(job).output().unwrap().status.success());
    killed(&place);
    let output = assay(std::path::Path::new("/"))
        .args(["runs", "--json", "--results"])
        .arg(place.join("results"))
        .output();
    let runs: serde_json::Value = serde_json::from_str(&stdout(&output.unwrap())).unwrap();
    assert_eq!((runs[0]["name"].as_str(), runs[0]["model"].as_str()), (Some("mine"), Some("sample_model")));
    let advice = runs[0]["advice"].as_str().unwrap();
    assert!(advice.contains(&format!("; go on with: cd {} && ", place.display())), "{advice}");
    assert!(advice.ends_with(&format!("assay {}", job.join(" "))), "{advice}");
}

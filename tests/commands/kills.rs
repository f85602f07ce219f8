//! Runs that are killed at any moment and continue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use assay::store::{History, JOURNAL};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::Value;

use super::{assay, stderr, stdout};

/// Every kind of request, over several families, and short enough to run hundreds of times.
const JOB: [&str; 7] =
    ["eval", "--tasks", "arc_challenge,truthfulqa_mc,winogrande,gsm8k", "--limit", "6", "--output", "out"];

const KILLS: usize = 200;
const KILLS_AFTER_AN_ANSWER: usize = 150;

/// What must not depend on how often a run was killed: every file except the journal and `run.json`, by path.
pub fn results(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(out).unwrap().to_path_buf();
            if path.is_dir() {
                folders.push(path);
            } else if name != Path::new(JOURNAL) && name != Path::new("run.json") {
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

pub fn run_json(out: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(out.join("run.json")).unwrap()).unwrap()
}

/// Number of answers in a journal; 0 if the run was killed before it created one.
fn answers(out: &Path) -> usize {
    let journal = out.join(JOURNAL);
    if journal.exists() { History::read(&journal).unwrap().answers.len() } else { 0 }
}

#[test]
fn a_run_killed_at_any_moment_goes_on_and_ends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Instant::now();
    let output = assay(folder.path()).args(JOB).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let length = whole.elapsed();
    let expected = results(&folder.path().join("out"));
    let requests = run_json(&folder.path().join("out"))["answers"]["requests"].as_u64().unwrap() as usize;

    let mut draws = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let (mut kills, mut after_an_answer, mut runs) = (0, 0, 0);
    while kills < KILLS || after_an_answer < KILLS_AFTER_AN_ANSWER {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        runs += 1;
        for attempt in 0.. {
            let before = answers(&out);
            let mut command = assay(folder.path());
            command.args(JOB).env("ASSAY_CACHE", folder.path().join("cache"));
            // Half of the runs have only the journal to continue from.
            if runs % 2 == 0 {
                command.arg("--no-cache");
            }
            let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            // The remaining share of the requests takes about that share of the whole run's time. Startup and
            // end take as long as ever, though, and a machine that is busy now may be slower than it was for
            // the whole run.
            let left = (requests - before) as f64 / requests as f64 + f64::from(attempt) / 5.0;
            let drawn = draws.next_u64() as f64 / u64::MAX as f64;
            std::thread::sleep(Duration::from_secs_f64(length.as_secs_f64() * left * drawn));
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            if output.status.code().is_some() {
                assert!(output.status.success(), "{}", stderr(&output));
                break;
            }
            let after = answers(&out);
            assert!(after >= before, "an answer was lost");
            kills += 1;
            after_an_answer += usize::from(after > 0);
        }
        assert_eq!(results(&out), expected, "after {kills} kills");
        let run = run_json(&out);
        let count = |name: &str| run["answers"][name].as_u64().unwrap() as usize;
        assert_eq!(count("from_cache") + count("computed"), requests);
        // The journal rejects a second answer to a request, so none was computed and stored twice.
        assert_eq!(answers(&out), requests);
    }
    println!(
        "{kills} kills, {after_an_answer} of them after the first answer was kept, in {runs} runs of {length:?}"
    );
}

#[test]
fn the_same_command_without_a_folder_finds_its_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = assay(folder.path());
        command.args(["eval", "--tasks", "arc_challenge,gsm8k", "--no-cache"]);
        command
    };
    let runs = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder.path().join("results")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let mut child = command().stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while runs().first().is_none_or(|out| answers(out) == 0) {
        assert!(child.try_wait().unwrap().is_none(), "too fast to be killed");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let [out] = &runs()[..] else { panic!("{:?}", runs()) };
    let kept = answers(out);

    // A different run gets its own folder.
    let other =
        assay(folder.path()).args(["eval", "--tasks", "winogrande", "--limit", "1"]).output().unwrap();
    assert!(other.status.success(), "{}", stderr(&other));
    assert_eq!(runs().len(), 2);

    let output = command().output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(runs().len(), 2);
    assert!(stderr(&output).contains(&format!("going on with the run in {}", "results/sample_model-")));
    assert_eq!(run_json(out)["answers"]["kept_before"], kept);

    // Once the run is finished, the same command starts a new one.
    assert!(command().output().unwrap().status.success());
    assert_eq!(runs().len(), 3);
}

#[test]
fn ctrl_c_keeps_what_is_answered_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = assay(folder.path()).args(JOB).output().unwrap();
    assert!(whole.status.success());
    let expected = results(&folder.path().join("out"));
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();

    let out = folder.path().join("out");
    let mut child =
        assay(folder.path()).args(JOB).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while answers(&out) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "too fast to be interrupted");
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("kept in out; the same command goes on from there\ngo on with: "),
        "{}",
        stderr(&output)
    );
    let kept = answers(&out);
    let verify = || {
        let output = assay(folder.path()).args(["verify", "out"]).output().unwrap();
        assert!(output.status.success(), "{}", stdout(&output));
    };
    verify();

    let output = assay(folder.path()).args(JOB).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(results(&out), expected);
    verify();
    assert_eq!(run_json(&out)["answers"]["kept_before"], kept);
    let run = run_json(&out);
    assert_eq!(run["earlier_sessions"].as_array().unwrap().len(), 1);
    let earlier = &run["earlier_sessions"][0]["work"];
    for cost in ["cpu_seconds", "peak_memory_bytes"] {
        assert!(
            run[cost].as_f64() >= earlier[cost].as_f64() && run[cost].as_f64() > Some(0.0),
            "{cost}: {run}"
        );
    }
}

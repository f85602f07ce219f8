//! Faults of the machine during a run: full disks, read-only folders, damaged journals, two processes at
//! once.

use std::path::Path;
use std::process::{Command, Stdio};

use assay::store::JOURNAL;

use super::kills::{results, run_json};
use super::{assay, stderr};

const JOB: [&str; 9] = [
    "eval",
    "--samples",
    "--tasks",
    "winogrande,gsm8k,truthfulqa_mc",
    "--limit",
    "3",
    "--output",
    "out",
    "--no-cache",
];

fn reference() -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    assert!(assay(folder.path()).args(JOB).output().unwrap().status.success());
    results(&folder.path().join("out"))
}

/// The job, with files limited to `blocks` of 1,024 bytes: a disk that is full at that point.
fn limited(folder: &Path, blocks: usize) -> Command {
    let plain = assay(folder);
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    command.current_dir(folder).args(["-c", &script]).arg(plain.get_program()).args(JOB);
    command.env("ASSAY_CACHE", folder.join("cache"));
    command
}

#[test]
fn a_full_disk_ends_the_run_and_loses_nothing() {
    let expected = reference();
    for blocks in [4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24] {
        let folder = tempfile::tempdir().unwrap();
        // TMPDIR is on another disk: the sample model has to be unpacked.
        let output = limited(folder.path(), blocks)
            .arg("--model")
            .arg(super::repository("sample_model"))
            .output()
            .unwrap();
        let said = stderr(&output);
        assert!(!said.contains("panicked"), "{said}");
        if output.status.success() {
            continue;
        }
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("error: out/"), "{said}");
        assert!(said.contains("cannot be written: ") && said.contains("hint: "), "{said}");
        let mut again = assay(folder.path());
        let again = again.args(JOB).arg("--model").arg(super::repository("sample_model")).output().unwrap();
        assert!(again.status.success(), "{}", stderr(&again));
        let found = results(&folder.path().join("out"));
        // `results.json` contains the model's path, which differs.
        for (path, bytes) in &expected {
            if path != Path::new("results.json") {
                assert_eq!(&found[path], bytes, "{} with {blocks} blocks", path.display());
            }
        }
        assert_eq!(found.len(), expected.len());
    }
}

#[test]
fn a_flipped_bit_in_a_journal_is_named_and_never_skipped() {
    let folder = tempfile::tempdir().unwrap();
    assert!(assay(folder.path()).args(JOB).output().unwrap().status.success());
    let out = folder.path().join("out");
    let expected = results(&out);
    let journal = out.join(JOURNAL);
    let whole = std::fs::read(&journal).unwrap();
    let step = whole.len() / 40;
    for place in (3..whole.len() - 1).step_by(step) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&journal, &bytes).unwrap();
        let line = whole[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
        let output = assay(folder.path()).args(JOB).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("error: out/journal:{line}:1: damaged record: ")), "{said}");
        assert!(said.contains("\nhint: "), "{said}");
        assert_eq!(std::fs::read(&journal).unwrap(), bytes, "a damaged journal is not touched");
    }
    // A journal truncated anywhere is that of a run that was killed there.
    for length in (0..whole.len()).step_by(step) {
        std::fs::write(&journal, &whole[..length]).unwrap();
        if !whole[..length].contains(&b'\n') {
            // Without a record nothing shows that the results in the folder are this run's.
            let output = assay(folder.path()).args(JOB).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            let said = stderr(&output);
            assert!(said.starts_with("error: out: the folder holds another run (results.json)\n"), "{said}");
            assert_eq!(results(&out), expected);
            for file in ["results.json", "run.json"] {
                std::fs::remove_file(out.join(file)).unwrap();
            }
            std::fs::remove_dir_all(out.join("samples")).unwrap();
        }
        let output = assay(folder.path()).args(JOB).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(results(&out), expected);
    }
}

#[test]
fn two_processes_do_not_write_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut first =
        assay(folder.path()).args(JOB).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while !out.join(JOURNAL).exists() {
        assert!(first.try_wait().unwrap().is_none());
    }
    // A second process is refused as often as it tries while the first runs.
    let mut refused = 0;
    while first.try_wait().unwrap().is_none() {
        let second = assay(folder.path()).args(JOB).output().unwrap();
        if second.status.success() {
            break;
        }
        assert_eq!(second.status.code(), Some(2));
        assert_eq!(
            stderr(&second),
            "error: out/journal: another process is writing it\nhint: wait until it is done, or name another folder with --output\n"
        );
        refused += 1;
    }
    assert!(first.wait().unwrap().success());
    assert!(refused > 0, "the first was done before the second began");
    assert_eq!(results(&out), reference());
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_found_before_anything_is_computed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    // A file in place of the folder fails even for users whom permissions do not stop, such as root.
    std::fs::write(folder.path().join("file"), b"").unwrap();
    for out in ["closed/out", "file/out", "file"] {
        let output = assay(folder.path())
            .args(["eval", "--samples", "--tasks", "winogrande", "--output", out])
            .output()
            .unwrap();
        if output.status.success() {
            println!("skipped: this user may write everywhere");
            continue;
        }
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("error: {out}")) && said.contains("\nhint: "), "{said}");
        assert!(!said.contains("tokens to compute"), "{said}");
    }
}

#[test]
fn a_damaged_file_of_results_does_not_matter_to_a_run_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    assert!(assay(folder.path()).args(JOB).output().unwrap().status.success());
    let out = folder.path().join("out");
    let expected = results(&out);
    // The state after a kill between the last answer and the last file.
    let journal = std::fs::read_to_string(out.join(JOURNAL)).unwrap();
    let unfinished: Vec<&str> = journal.lines().filter(|line| !line.contains("{\"finished\":")).collect();
    std::fs::write(out.join(JOURNAL), unfinished.join("\n") + "\n").unwrap();
    std::fs::write(out.join("results.json"), b"{").unwrap();
    std::fs::remove_file(out.join("run.json")).unwrap();
    let output = assay(folder.path()).args(JOB).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(results(&out), expected);
    let run = run_json(&out);
    assert_eq!(run["answers"]["kept_before"], run["answers"]["requests"]);
}

/// Writes a user's own model and task to `folder`, and gives the command that scores the model on the task.
fn own_run(folder: &Path) -> Vec<&'static str> {
    std::fs::create_dir(folder.join("model")).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(super::repository("sample_model").join(file), folder.join("model").join(file)).unwrap();
    }
    let rows: String = (0..120).map(|n| format!("How much is {n} and {n}?,{},{}\n", 2 * n, 3 * n)).collect();
    std::fs::write(folder.join("sums.csv"), format!("q,right,wrong\n{rows}")).unwrap();
    let task = "task: sums\ndataset_path: csv\ndataset_kwargs: {data_files: {test: sums.csv}}\n\
                output_type: multiple_choice\ntest_split: test\nfewshot_split: test\nnum_fewshot: 20\n\
                doc_to_text: \"{{q}}\"\ndoc_to_choice: \"{{[right, wrong]}}\"\ndoc_to_target: 0\n";
    std::fs::write(folder.join("sums.yaml"), task).unwrap();
    vec![
        "eval",
        "--samples",
        "--model",
        "model",
        "--tasks",
        "sums",
        "--include",
        ".",
        "--output",
        "out",
        "--no-cache",
    ]
}

/// Starts the command and waits for its first answers.
fn begin(folder: &Path, job: &[&str]) -> std::process::Child {
    let mut child = assay(folder).args(job).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let journal = folder.join("out").join(JOURNAL);
    while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("{\"answer\":")) {
        assert!(child.try_wait().unwrap().is_none(), "too fast to be caught");
    }
    child
}

#[test]
fn files_that_change_under_a_run_do_not_reach_it_and_do_not_go_on_with_it() {
    let whole = tempfile::tempdir().unwrap();
    let job = own_run(whole.path());
    assert!(assay(whole.path()).args(&job).output().unwrap().status.success());
    let expected = results(&whole.path().join("out"));

    // All files change during the run: it has read what it needs.
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    own_run(place);
    let mut child = begin(place, &job);
    for file in ["sums.csv", "sums.yaml", "model/model.safetensors", "model/tokenizer.json"] {
        std::fs::write(place.join(file), b"{").unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(results(&place.join("out")), expected);

    // One file changes between two sessions: it is another run.
    for (file, from, to, named) in [
        ("sums.csv", "How much is 7 ", "How much was 7 ", "tasks.0."),
        ("sums.yaml", "num_fewshot: 20", "num_fewshot: 19", "tasks.0.file: "),
        ("model/config.json", "\"rms_norm_eps\": 0.00001", "\"rms_norm_eps\": 0.00002", "model.config: "),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        own_run(place);
        let mut child = begin(place, &job);
        child.kill().unwrap();
        child.wait().unwrap();
        let before = std::fs::read_to_string(place.join(file)).unwrap();
        assert!(before.contains(from), "{file}: {before}");
        std::fs::write(place.join(file), before.replace(from, to)).unwrap();
        let output = assay(place).args(&job).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{file}: {said}");
        assert!(said.contains(&format!("error: out: the folder holds another run: {named}")), "{said}");
        std::fs::write(place.join(file), before).unwrap();
        assert!(assay(place).args(&job).output().unwrap().status.success());
        assert_eq!(results(&place.join("out")), expected);
    }
}

#[test]
fn a_journal_that_is_taken_away_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let job = own_run(place);
    let mut child = assay(place);
    let mut child = child.args(&job).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let journal = place.join("out").join(JOURNAL);
    while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("{\"answer\":")) {
        assert!(child.try_wait().unwrap().is_none(), "too fast to be caught");
    }
    std::fs::remove_dir_all(place.join("out")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("error: out/journal: cannot be written: it was moved or removed\nhint: "),
        "{said}"
    );
}

#[test]
fn what_a_kill_leaves_before_a_run_has_a_name_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("results/sample_model-20200101T000000");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join(JOURNAL), b"0123456789abcdef {\"run\":{\"ass").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::open(&left).unwrap().set_modified(long_ago).unwrap();
    let other = folder.path().join("results/notes");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join(JOURNAL), b"my own journal\n").unwrap();
    let output = assay(folder.path())
        .args(["eval", "--samples", "--tasks", "winogrande", "--limit", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!left.exists() && other.join(JOURNAL).exists());
}

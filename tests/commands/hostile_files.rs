//! Files of others that would make a program wait, read without end, or write where it should not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{assay, repository, stderr, stdout};

/// A task with its rows and the sample model, in a folder of its own.
fn folder_with_a_task() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("rows.jsonl"), "{\"q\": \"one\"}\n{\"q\": \"two\"}\n").unwrap();
    let task = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\noutput_type: multiple_choice\n\
                test_split: test\ndoc_to_text: \"{{q}}\"\ndoc_to_choice: [\"a\", \"b\"]\ndoc_to_target: 0\nmetric_list: [{metric: acc}]\n";
    fs::write(at("t.yaml"), task).unwrap();
    fs::create_dir(at("m")).unwrap();
    for entry in fs::read_dir(repository("sample_model")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, at("m").join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn eval(folder: &Path) -> Command {
    let mut command = assay(folder);
    command.args(["eval", "--tasks", "t", "--include", ".", "--model", "m", "--no-cache"]);
    command
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The output of a command that must end by itself: a process that waits on a pipe never would.
fn output(command: &mut Command) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it waits: {}", stderr(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_pipe_or_a_device_in_a_model_s_place_is_an_error() {
    let folder = folder_with_a_task();
    let model = folder.path().join("m");
    let names = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "model.safetensors",
    ];
    for name in names {
        let (file, kept) = (model.join(name), folder.path().join("kept"));
        let was = fs::rename(&file, &kept).is_ok();
        for (made, what) in [(0, "a named pipe"), (1, "a device")] {
            if made == 0 {
                pipe(&file)
            } else {
                symlink("/dev/zero", &file).unwrap()
            }
            let output = output(&mut eval(folder.path()));
            let text = stderr(&output);
            assert!([Some(2), Some(3)].contains(&output.status.code()), "{name}: {text}");
            assert!(
                text.contains(&format!("m/{name}")) && text.contains(&format!("it is {what}, not a file")),
                "{name}: {text}"
            );
            fs::remove_file(&file).unwrap();
        }
        if was {
            fs::rename(&kept, &file).unwrap();
        }
    }
    for name in ["rows.jsonl", "t.yaml"] {
        let file = folder.path().join(name);
        fs::rename(&file, folder.path().join("kept")).unwrap();
        pipe(&file);
        let output = output(&mut eval(folder.path()));
        assert_eq!(output.status.code(), Some(2), "{name}");
        fs::remove_file(&file).unwrap();
        fs::rename(folder.path().join("kept"), &file).unwrap();
    }
    let gguf = folder.path().join("f.gguf");
    pipe(&gguf);
    let output =
        output(assay(folder.path()).args(["plan", "--tasks", "t", "--include", ".", "--model", "f.gguf"]));
    assert!(
        stderr(&output).starts_with("error: cannot read f.gguf: it is a named pipe, not a file\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn no_file_of_the_user_is_emptied_through_a_run_s_folder() {
    let folder = folder_with_a_task();
    let at = |name: &str| folder.path().join(name);
    for parent in ["results/evil", "results/pipe", "results/zero", "out", "linked"] {
        fs::create_dir_all(at(parent)).unwrap();
    }
    fs::write(at("token"), "hf_secret").unwrap();
    symlink("../../token", at("results/evil/journal")).unwrap();
    pipe(&at("results/pipe/journal"));
    symlink("/dev/zero", at("results/zero/journal")).unwrap();
    for parent in ["evil", "pipe", "zero"] {
        let old = ["-h", "-d", "2 hours ago"].map(str::to_string);
        for path in [at("results").join(parent).join("journal"), at("results").join(parent)] {
            assert!(Command::new("touch").args(&old).arg(path).status().unwrap().success());
        }
    }
    let plain = output(&mut eval(folder.path()));
    assert!(plain.status.success(), "{}", stderr(&plain));
    assert_eq!(fs::read_to_string(at("token")).unwrap(), "hf_secret");
    assert!(at("results/evil/journal").is_symlink());

    fs::write(at("out/journal"), "my diary, one long line").unwrap();
    let own = output(eval(folder.path()).args(["--output", "out"]));
    assert_eq!(own.status.code(), Some(2));
    assert!(
        stderr(&own).starts_with(
            "error: out/journal: not written by assay: it holds no record\nhint: nothing was changed in it"
        ),
        "{}",
        stderr(&own)
    );
    assert_eq!(fs::read_to_string(at("out/journal")).unwrap(), "my diary, one long line");

    symlink("../token", at("linked/journal")).unwrap();
    let linked = output(eval(folder.path()).args(["--output", "linked"]));
    assert_eq!(linked.status.code(), Some(2));
    assert!(
        stderr(&linked).contains("linked/journal: cannot be opened: it is a symbolic link, not a file"),
        "{}",
        stderr(&linked)
    );
    assert_eq!(fs::read_to_string(at("token")).unwrap(), "hf_secret");

    // The other commands list such folders, and wait for none.
    for command in [
        &["runs"][..],
        &["leaderboard"],
        &["compare", "results/pipe", "results/zero"],
        &["verify", "results/pipe"],
    ] {
        let output = output(assay(folder.path()).args(command));
        assert!(
            output.status.code().is_some_and(|code| code <= 2),
            "{command:?}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn the_sample_is_not_unpacked_over_files_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("not/there/yet");
    let run = || {
        let mut command = assay(folder.path());
        command
            .args(["eval", "--tasks", "winogrande", "--limit", "1", "--no-cache"])
            .env("TMPDIR", &temporary);
        output(&mut command)
    };
    assert!(run().status.success(), "a missing TMPDIR is made");
    let [shared] =
        &fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()[..]
    else {
        panic!("one copy is shared");
    };
    // As if somebody else had made a copy with links in it: everybody may write it.
    fs::write(folder.path().join("keys"), "ssh-ed25519").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(shared, fs::Permissions::from_mode(0o777)).unwrap();
    fs::remove_file(shared.join("sample_model/config.json")).unwrap();
    symlink(folder.path().join("keys"), shared.join("sample_model/config.json")).unwrap();
    let again = run();
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(fs::read_to_string(folder.path().join("keys")).unwrap(), "ssh-ed25519");
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, std::slice::from_ref(shared), "its own copy is removed");
}

#[test]
fn the_first_signal_ends_what_is_no_pass() {
    let folder = folder_with_a_task();
    let endless = "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\noutput_type: multiple_choice\ntest_split: test\n\
                   doc_to_text: \"{% for i in range(90000) %}{{ q|replace('o', 'oo') }}{% endfor %}\"\ndoc_to_choice: [\"a\", \"b\"]\ndoc_to_target: 0\nmetric_list: [{metric: acc}]\n";
    fs::write(folder.path().join("t.yaml"), endless).unwrap();
    let rows: String = (0..20_000).map(|row| format!("{{\"q\": \"o{row}\"}}\n")).collect();
    fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
    let mut child = eval(folder.path())
        .args(["--output", "out"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.path().join("out/journal").exists() {
        assert!(child.try_wait().unwrap().is_none(), "too fast to be interrupted");
    }
    // The journal is there a moment before it is known what to remove.
    std::thread::sleep(Duration::from_millis(300));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(
        stderr(&ended).ends_with("interrupted before a request was answered; nothing was written\n"),
        "{}",
        stderr(&ended)
    );
    assert!(!folder.path().join("out").exists(), "nothing is left");
}

#[test]
fn a_file_that_may_not_grow_is_an_error() {
    let folder = folder_with_a_task();
    let program = env!("CARGO_BIN_EXE_assay");
    let line =
        format!("ulimit -f 0; exec {program} eval --tasks t --include . --model m --no-cache --output out");
    let ended = output(Command::new("sh").args(["-c", &line]).current_dir(folder.path()));
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("out/journal: cannot be written: "), "{}", stderr(&ended));
}

//! Samples do not depend on how a run is scheduled.

use std::collections::BTreeMap;
use std::path::Path;

use super::{assay, stderr};

/// Sample files by task, byte for byte.
fn samples(dtype: &str, tasks: &str, more: &[&str]) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["eval", "--tasks", tasks, "--dtype", dtype, "--output", "out"];
    let output = assay(folder.path()).args(arguments).args(more).output().unwrap();
    assert!(output.status.success(), "{more:?}: {}", stderr(&output));
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    std::fs::read_dir(folder.path().join("out/samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (name(&path), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn no_way_to_run_changes_a_byte_of_the_samples() {
    const TASKS: &str = "arc_challenge,winogrande,gsm8k,hendrycksTest-anatomy,hendrycksTest-virology";
    let reversed = TASKS.split(',').rev().collect::<Vec<_>>().join(",");
    for dtype in ["f32", "bf16"] {
        let whole = samples(dtype, TASKS, &[]);
        assert_eq!(whole.len(), 5);
        let ways: [(&str, &[&str]); 6] = [
            (TASKS, &["--threads", "1"]),
            // Just above the need of the longest request.
            (TASKS, &["--kv-memory", "3MiB"]),
            (&reversed, &[]),
            (TASKS, &["--limit", "2", "--threads", "1"]),
            ("gsm8k", &[]),
            ("hendrycksTest-virology", &["--limit", "1"]),
        ];
        for (tasks, more) in ways {
            let found = samples(dtype, tasks, more);
            assert_eq!(found.len(), tasks.split(',').count());
            for (task, lines) in found {
                assert!(
                    !lines.is_empty() && whole[&task].starts_with(&lines),
                    "{dtype} {tasks} {more:?}: {task}"
                );
            }
        }
    }
}

//! Datasets are checked against their pins.

use std::path::Path;

use serde_json::{Value, json};

use super::{assay, repository, run, stderr, stdout};
use crate::material::shared;
use assay::dataset::DatasetStore;
use assay::task::DatasetRef;
use assay::vocabulary::{Cell, Pin, Row};

const ROW: &str = "{\"sentence\": \"A _ b.\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"1\"}\n";

/// Winogrande with nine training rows and one validation row.
fn changed(folder: &Path) {
    let path = folder.join("data/allenai/winogrande/winogrande_xl");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("train-00000-of-00001.jsonl"), ROW.repeat(9)).unwrap();
    std::fs::write(path.join("validation-00000-of-00001.jsonl"), ROW).unwrap();
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn other_rows_are_an_error_with_both_hashes() {
    let folder = tempfile::tempdir().unwrap();
    changed(folder.path());
    let tokenizer = repository("sample_model/tokenizer.json");
    let tokenizer = tokenizer.to_str().unwrap();
    for command in [
        vec!["eval", "--samples", "--tasks", "winogrande"],
        vec!["plan", "--tasks", "winogrande", "--tokenizer", tokenizer],
        vec!["requests", "--tasks", "winogrande", "--tokenizer", tokenizer],
        vec!["tasks", "winogrande"],
    ] {
        let ask = |more: &[&str]| {
            assay(folder.path()).args(&command).args(["--datasets", "data"]).args(more).output().unwrap()
        };
        let output = ask(&[]);
        assert_eq!(output.status.code(), Some(2));
        insta::allow_duplicates! {
            insta::assert_snapshot!(stderr(&output), @r"
            error: task `winogrande`: data: `validation` of allenai/winogrande (winogrande_xl) is not the hub's: 1 rows with the hash 76e4056a25a9987fb8ccf0e81d39f4b80ce93e922b169975117ad1742d9e41df, expected 1267 rows with the hash 5936b0d3746fe1b8f0fc958ead55dc94ade9b748745ef38e48e1e5413995f054
            hint: download the dataset again, or go on with --allow-dataset-change: the run is then not ranked
            ");
        }
        let output = ask(&["--allow-dataset-change"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(
            said.contains(
                "warning: `validation` of allenai/winogrande (winogrande_xl) has 1 rows with the hash "
            ),
            "{said}"
        );
        assert!(said.contains(": a run over them is not ranked"), "{said}");
    }
}

#[test]
fn an_allowed_change_is_recorded_and_not_ranked() {
    let folder = tempfile::tempdir().unwrap();
    changed(folder.path());
    let arguments = [
        "eval",
        "--samples",
        "--tasks",
        "winogrande",
        "--datasets",
        "data",
        "--allow-dataset-change",
        "--output",
        "out",
    ];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let run = json_file(&folder.path().join("out/run.json"));
    let found = &run["tasks"]["winogrande"]["datasets"][0];
    assert_eq!(
        [&found["id"], &found["config"], &found["split"], &found["pin"]],
        ["allenai/winogrande", "winogrande_xl", "validation", "changed"]
    );
    assert_eq!([&found["rows"], &found["expected_rows"]], [1, 1267]);
    let pins: Vec<Value> =
        serde_json::from_str(&stdout(&super::run(&["datasets", "--format", "json"]))).unwrap();
    let pin =
        pins.iter().find(|pin| pin["config"] == "winogrande_xl" && pin["split"] == "validation").unwrap();
    assert_eq!(found["expected_content_blake3"], pin["expected_content_blake3"]);
    assert_ne!(found["content_blake3"], pin["expected_content_blake3"]);
    for hash in ["content_blake3", "expected_content_blake3", "files_blake3"] {
        assert_eq!(found[hash].as_str().unwrap().len(), 64, "{hash}");
    }
    let suite = &json_file(&folder.path().join("out/results.json"))["suite"];
    let reasons = suite["unranked_because"].as_array().unwrap();
    assert!(reasons.contains(&"1 of 1267 rows in `validation` of winogrande".into()), "{reasons:?}");
}

#[test]
fn a_manifest_of_one_s_own_pins_counts_or_is_at_fault() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data/acme/lines/default/test.csv", "q,a\n007,0\nx,1\n");
    write(
        folder,
        "own/own.yaml",
        "task: own\ndataset_path: acme/lines\ntest_split: test\noutput_type: multiple_choice\n\
         doc_to_text: \"Q {{q}}\"\ndoc_to_choice: [y, z]\ndoc_to_target: a\n",
    );
    let show = || {
        let arguments = ["tasks", "own", "--include", "own", "--datasets", "data"];
        let output = assay(folder).args(arguments).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let manifest = |split: &str| {
        let text = format!(
            "hub_id: acme/lines\ncolumns: {{q: string, a: int8}}\nconfigs: {{default: {{test: {split}}}}}\n"
        );
        write(folder, "datasets/lines.yaml", &text);
    };
    assert_eq!(show(), (Some(0), String::new()));

    manifest("{rows: 2, unpinned: made yesterday}");
    let note =
        "note: `test` of acme/lines (default) is not pinned, only its rows are counted: made yesterday\n";
    assert_eq!(show(), (Some(0), note.into()));
    manifest("{rows: 3, unpinned: made yesterday}");
    let warning =
        "warning: `test` of acme/lines (default) has 2 rows, the hub's 3: a run over them is not ranked\n";
    assert_eq!(show(), (Some(0), warning.into()));
    let listed =
        || assay(folder).args(["datasets", "--datasets", "data", "--format", "json"]).output().unwrap();
    assert_eq!(listed().status.code(), Some(1), "another number of rows differs");

    // The command prints the hash that pins the split, and JSON lines of the same content have it too.
    let pins: Vec<Value> = serde_json::from_str(&stdout(&listed())).unwrap();
    let own = pins.iter().find(|pin| pin["id"] == "acme/lines").unwrap();
    manifest(&format!("{{rows: 2, blake3: {}}}", own["content_blake3"].as_str().unwrap()));
    assert_eq!(show(), (Some(0), String::new()));
    assert_eq!(listed().status.code(), Some(0));
    std::fs::remove_file(folder.join("data/acme/lines/default/test.csv")).unwrap();
    write(
        folder,
        "data/acme/lines/default/test.jsonl",
        "{\"a\": 0, \"q\": \"007\"}\n{\"a\": 1, \"q\": \"x\"}\n",
    );
    assert_eq!(show(), (Some(0), String::new()));
    write(
        folder,
        "data/acme/lines/default/test.jsonl",
        "{\"a\": 0, \"q\": \"7\"}\n{\"a\": 1, \"q\": \"x\"}\n",
    );
    assert_eq!(show().0, Some(2));
    assert_eq!(listed().status.code(), Some(1));
    let table = assay(folder).args(["datasets", "--datasets", "data"]).output().unwrap();
    assert!(stdout(&table).lines().any(|line| line.contains("acme/lines") && line.ends_with("differs")));
    assert!(
        stdout(&table).lines().any(|line| line.contains("57 configurations") && line.ends_with("missing"))
    );

    manifest("{rows: 2, blake3: abc}");
    let hint = "hint: datasets/README.md shows what a manifest holds; a file with a `hub_id` is taken for one, any other is \
                passed over\n";
    let fault = "error: datasets/lines.yaml:3:45: `blake3` is `abc`, expected 64 hexadecimal digits\n";
    assert_eq!(show(), (Some(2), format!("{fault}{hint}")));
    write(folder, "datasets/lines.yaml", "lines: [\n");
    assert_eq!(show(), (Some(0), String::new()), "a file that is no manifest");
    write(folder, "datasets/lines.yaml", "hub_id: cais/mmlu\n");
    assert_eq!(
        show(),
        (
            Some(2),
            "error: datasets/mmlu.yaml:2:9: `cais/mmlu` has a manifest already, datasets/lines.yaml\n\
             hint: a manifest of the same file name replaces the built-in one\n"
                .into()
        )
    );
}

#[test]
fn pins_are_listed_without_datasets() {
    let table = stdout(&run(&["datasets"]));
    assert_eq!(table.lines().count(), 14, "{table}");
    assert_eq!(table.matches("not given").count(), 13);
    assert_eq!(stdout(&run(&["datasets", "--all"])).lines().count(), 182);
}

#[test]
fn the_pins_are_those_of_the_real_datasets() {
    let Some(datasets) = shared("datasets") else { return };
    let output = run(&["datasets", "--format", "json", "--datasets", datasets.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let pins: Vec<Value> = serde_json::from_str(&stdout(&output)).unwrap();
    let of = |verdict: &str| pins.iter().filter(|pin| pin["verdict"] == verdict).collect::<Vec<_>>();
    assert_eq!((of("same").len(), of("unpinned").len(), pins.len()), (180, 1, 181));
    let unpinned = of("unpinned")[0];
    assert_eq!([&unpinned["id"], &unpinned["split"]], ["Rowan/hellaswag", "train"]);
    assert!(stderr(&output).contains("note: `train` of Rowan/hellaswag (data) is not pinned"));
}

fn json_of(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(b) => json!(b),
        Cell::Int(n) => json!(*n as i64),
        Cell::Float(x) => json!(x),
        Cell::Text(text) => json!(text),
        Cell::List(items) => items.iter().map(json_of).collect(),
        Cell::Struct(row) => row.iter().map(|(name, value)| (name.clone(), json_of(value))).collect(),
        other => panic!("{other:?} in a benchmark's rows"),
    }
}

#[test]
fn a_real_split_in_another_format_has_the_same_hash() {
    let Some(datasets) = shared("datasets") else { return };
    let real = DatasetStore::new(Some(datasets)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let reference = |(id, config): (&str, &str)| DatasetRef {
        path: id.into(),
        config: Some(config.into()),
        data_files: Vec::new(),
    };
    let splits = [
        (("allenai/ai2_arc", "ARC-Challenge"), "test"),
        (("Rowan/hellaswag", "data"), "validation"),
        (("cais/mmlu", "anatomy"), "test"),
        (("truthfulqa/truthful_qa", "multiple_choice"), "validation"),
        (("openai/gsm8k", "main"), "test"),
        (("allenai/winogrande", "winogrande_xl"), "validation"),
    ];
    for (dataset, split) in splits {
        let rows = real.split(&reference(dataset), split).unwrap().rows;
        let lines = rows.iter().map(|row| {
            let turned: Row = row.clone().into_iter().rev().collect();
            format!("{}\n", json_of(&Cell::Struct(turned)))
        });
        let (id, config) = dataset;
        write(folder.path(), &format!("{id}/{config}/{split}.jsonl"), &lines.collect::<String>());
    }
    // Flat columns as CSV; its answers look like numbers.
    let rows = real.split(&reference(splits[5].0), "train").unwrap().rows;
    let quoted = |row: &Row| {
        let fields =
            row.values().map(|value| format!("\"{}\"", value.as_str().unwrap().replace('"', "\"\"")));
        fields.collect::<Vec<_>>().join(",") + "\n"
    };
    let head = rows[0].keys().cloned().collect::<Vec<_>>().join(",") + "\n";
    let csv = head + &rows.iter().map(quoted).collect::<String>();
    write(folder.path(), "allenai/winogrande/winogrande_xl/train.csv", &csv);

    let written = DatasetStore::new(Some(folder.path().to_path_buf())).unwrap();
    for (dataset, split) in splits.into_iter().chain([(splits[5].0, "train")]) {
        let original = real.split(&reference(dataset), split).unwrap();
        let found = written.split(&reference(dataset), split).unwrap();
        assert_eq!((&found.pin, &found.content), (&Pin::Same, &original.content), "{dataset:?} {split}");
        assert_ne!(found.fingerprint, original.fingerprint);
        assert_eq!(found.rows, original.rows, "{dataset:?} {split}");
    }
}

#[test]
fn files_in_the_place_of_assay_s_own_keep_a_run_from_being_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let row = "{\"question\": \"How much is 1+1?\", \"answer\": \"#### 2\"}\n";
    for split in ["test", "train"] {
        write(folder, &format!("data/openai/gsm8k/main/{split}.jsonl"), &row.repeat(6));
    }
    let eval = |out: &str| {
        let mut command = assay(folder);
        command.args(["eval", "--samples", "--tasks", "gsm8k", "--datasets", "data", "--output", out]);
        command.output().unwrap()
    };
    assert_eq!(eval("a").status.code(), Some(2), "these are not the hub's rows");
    let listed = assay(folder).args(["datasets", "--datasets", "data", "--format", "json"]).output().unwrap();
    let found: Vec<Value> = serde_json::from_str(&stdout(&listed)).unwrap();
    let hash = found.iter().find_map(|pin| {
        let test = pin["id"] == "openai/gsm8k" && pin["split"] == "test";
        test.then(|| pin["content_blake3"].as_str().unwrap().to_string())
    });
    let pin = format!("{{rows: 6, blake3: {}}}", hash.unwrap());
    let manifest = format!(
        "hub_id: openai/gsm8k\ncolumns: {{question: string, answer: string}}\nconfigs: {{main: {{test: {pin}, train: {pin}}}}}\n"
    );
    write(folder, "datasets/gsm8k.yaml", &manifest);
    let output = eval("b");
    assert!(output.status.success(), "{}", stderr(&output));
    let results = std::fs::read_to_string(folder.join("b/results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    let reasons = results["suite"]["unranked_because"].to_string();
    assert!(reasons.contains("a manifest of one's own for "), "{reasons}");

    let task = std::fs::read_to_string(super::repository("tasks/leaderboard_v1/gsm8k.yaml")).unwrap();
    write(folder, "tasks/leaderboard_v1/gsm8k.yaml", &format!("{task}# changed\n"));
    let output = eval("c");
    assert!(output.status.success(), "{}", stderr(&output));
    let results = std::fs::read_to_string(folder.join("c/results.json")).unwrap();
    assert!(results.contains("a task file of one's own for gsm8k"), "{results}");
}

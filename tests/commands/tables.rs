//! `assay leaderboard` and `assay tasks`.

use super::{assay, run, stderr, stdout};

#[test]
fn averages_are_computed_from_the_published_columns() {
    let table = stdout(&run(&["leaderboard", "--format", "csv"]));
    assert_eq!(
        table,
        "Model,Average,ARC,HellaSwag,MMLU,TruthfulQA,Winogrande,GSM8K\n\
         Gille/StrangeMerges_21-7B-slerp,76.29,74.23,88.95,65.05,73.81,84.61,71.11\n\
         Gille/StrangeMerges_24-7B-slerp,76.21,73.98,89.09,64.99,75.52,84.69,68.99\n"
    );
}

#[test]
fn a_sample_run_stands_apart_without_an_average() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        assay(folder.path()).args(["eval", "--tasks", "winogrande", "--limit", "2"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&assay(folder.path()).args(["leaderboard", "--format", "json"]).output().unwrap());
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    assert_eq!(table.as_array().unwrap().len(), 3);
    assert!(
        (table[0]["Average"].as_f64().unwrap() - 76.293_333).abs() < 1e-6 && table[0]["Not ranked"] == ""
    );
    let apart = &table[2];
    assert_eq!(apart["Average"], serde_json::Value::Null);
    let reasons = apart["Not ranked"].as_str().unwrap();
    assert!(reasons.contains("limit 2") && reasons.contains("sample"), "{reasons}");
}

#[test]
fn a_run_with_a_name_of_its_own_is_shown_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let job = ["eval", "--tasks", "winogrande", "--limit", "2", "--name", "my-merge"];
    let output = assay(folder.path()).args(job).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&assay(folder.path()).args(["leaderboard", "--format", "json"]).output().unwrap());
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    assert_eq!((&table[2]["Name"], &table[2]["Model"]), (&"my-merge".into(), &"sample_model".into()));
    assert_eq!(table[0]["Name"], table[0]["Model"]);
    // Where there is no room for both, the name stays.
    let mut narrow = assay(folder.path());
    let table = stdout(&narrow.env("COLUMNS", "100").arg("leaderboard").output().unwrap());
    let head = table.lines().next().unwrap();
    assert!(head.trim().starts_with("Name ") && !head.contains(" Model "), "{table}");
}

#[test]
fn a_file_in_the_working_folder_wins_over_the_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("results")).unwrap();
    std::fs::write(
        folder.path().join("results/published.csv"),
        "Model,ARC,HellaSwag,MMLU,TruthfulQA,Winogrande,GSM8K\nmine,10,20,30,40,50,60\n",
    )
    .unwrap();
    let table = stdout(&assay(folder.path()).args(["leaderboard", "--format", "markdown"]).output().unwrap());
    insta::assert_snapshot!(table, @r"
    | Model | Average |   ARC | HellaSwag |  MMLU | TruthfulQA | Winogrande | GSM8K |
    |-------|---------|-------|-----------|-------|------------|------------|-------|
    | mine  |   35.00 | 10.00 |     20.00 | 30.00 |      40.00 |      50.00 | 60.00 |
    ");
}

#[test]
fn tasks_are_listed_and_shown() {
    let list = stdout(&run(&["tasks"]));
    assert!(list.starts_with("leaderboard_v1 (also: all): Open LLM Leaderboard (v1), ARC, HellaSwag"));
    assert_eq!(list.matches("[mmlu]").count(), 57);
    let shown = stdout(&run(&["tasks", "hendrycksTest-anatomy"]));
    assert!(
        shown.contains("The following are multiple choice questions (with answers) about anatomy."),
        "{shown}"
    );
    assert!(shown.contains("| D|"), "{shown}");
}

#[test]
fn a_damaged_run_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("torn", "{\"suite\":"),
        (
            "odd",
            "{\"config\": {\"model\": \"x\"}, \"suite\": {\"name\": \"leaderboard_v1\", \"columns\": {\"ARC\": 1e300}, \
             \"unranked_because\": []}}",
        ),
    ] {
        std::fs::create_dir_all(folder.path().join("results").join(name)).unwrap();
        std::fs::write(folder.path().join("results").join(name).join("results.json"), text).unwrap();
    }
    let output = assay(folder.path()).args(["leaderboard", "--format", "csv"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(stdout(&output).lines().count(), 3);
    assert_eq!(stderr(&output).matches("warning: results/").count(), 2, "{}", stderr(&output));
}

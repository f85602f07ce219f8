//! `assay compare`: a merge and its parents.

use serde_json::{Value, json};

use super::compared_runs::{FAMILY, compare, copy_of, evaluate, record_again};
use super::{stderr, stdout};

fn as_json(arguments: &[&str]) -> Value {
    let output = compare(&[arguments, &["--format", "json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn a_merge_is_told_beside_each_parent() {
    let output = compare(&["runs/merge", "runs/a", "runs/b"]);
    assert!(output.status.success(), "{}", stderr(&output));
    insta::assert_snapshot!(stdout(&output), @r"
    merge: merge (the first given); parents: a, b

    merge against A: a
     Task        Metric             n  Merge  Parent  Difference              95 %       p  p (Holm)  Won  Lost    MDE  Verdict
     ARC         acc_norm          16  43.75   31.25      +12.50   -9.28 to +36.02  0.5000    1.0000    2     0  44.89  no difference shown
     HellaSwag   acc_norm          12  75.00   66.67       +8.33  -17.94 to +35.39  1.0000    1.0000    1     0  57.79  no difference shown
     MMLU        acc              114  26.32   26.32       +0.00  -10.23 to +10.23  1.0000    1.0000   17    17  14.79  no difference shown
     TruthfulQA  mc2               10  99.49   96.64       +2.85    -3.59 to +9.29  1.0000    1.0000    1     0   8.96  no difference shown
     Winogrande  acc               12  66.67   66.67       +0.00  -24.25 to +24.25  1.0000    1.0000    0     0  57.79  no difference shown
     GSM8K       acc                8  12.50    0.00      +12.50  -24.00 to +47.09  1.0000    1.0000    1     0  80.14  no difference shown
     average     mean of columns  172  53.95   47.92       +6.03   -2.45 to +14.17  0.1730    0.1730   22    17  11.81  no difference shown

    merge against B: b
     Task        Metric             n  Merge  Parent  Difference              95 %       p  p (Holm)  Won  Lost    MDE  Verdict
     ARC         acc_norm          16  43.75   37.50       +6.25  -14.32 to +28.33  1.0000    1.0000    1     0  44.89  no difference shown
     HellaSwag   acc_norm          12  75.00   75.00       +0.00  -24.25 to +24.25  1.0000    1.0000    0     0  57.79  no difference shown
     MMLU        acc              114  26.32   25.44       +0.88    -6.68 to +8.51  1.0000    1.0000    9     8  10.29  no difference shown
     TruthfulQA  mc2               10  99.49   99.95       -0.46    -1.50 to +0.58  1.0000    1.0000    0     1   1.45  no difference shown
     Winogrande  acc               12  66.67   58.33       +8.33  -17.94 to +35.39  1.0000    1.0000    1     0  57.79  no difference shown
     GSM8K       acc                8  12.50    0.00      +12.50  -24.00 to +47.09  1.0000    1.0000    1     0  80.14  no difference shown
     average     mean of columns  172  53.95   49.37       +4.58   -3.65 to +12.36  0.2992    0.2992   12     9  11.33  no difference shown

    Scores, differences, intervals of 95 % and MDE in points. p (Holm) is corrected for the tasks of one parent. MDE: the smallest difference that this comparison had a chance of 80 % to find.

    Where the answers of merge come from (A = a, B = b)
     Task        from A  from B  from both  emergent  lost from A  lost from B  lost from both  never had
     ARC              1       2          4         0            0            0               0          9
     HellaSwag        0       1          8         0            0            0               0          3
     MMLU             4      12          9         5           17            8               0         59
     Winogrande       1       0          7         0            0            0               0          4
     GSM8K            0       0          0         1            0            0               0          7

    MMLU: 0 of 57 tasks moved from A (a) with p < 0.05, each by itself (chance alone moves up to 3 on average); 0 of them by Holm's p over 57 tasks.

    MMLU: 0 of 57 tasks moved from B (b) with p < 0.05, each by itself (chance alone moves up to 3 on average); 0 of them by Holm's p over 57 tasks.

    Over all columns together, no difference between merge and a is shown: +6.03 points (95 %: -2.45 to +14.17, p = 0.1730, 172 documents); if the difference is as it looks, about 490 documents more would settle it, which these tasks do not have.
    Over all columns together, no difference between merge and b is shown: +4.58 points (95 %: -3.65 to +12.36, p = 0.2992, 172 documents); if the difference is as it looks, about 880 documents more would settle it, which these tasks do not have.
    ");
    insta::assert_snapshot!(stderr(&output), @r"
    note: runs/merge: it is over built-in samples, not the benchmarks: the numbers are not scores
    note: runs/a: it is over built-in samples, not the benchmarks: the numbers are not scores
    note: runs/b: it is over built-in samples, not the benchmarks: the numbers are not scores
    ");
}

#[test]
fn markdown_is_a_document_of_its_own() {
    let output = compare(&["runs/merge", "runs/a", "--format", "markdown"]);
    assert!(output.status.success(), "{}", stderr(&output));
    insta::assert_snapshot!(stdout(&output), @r"
    merge: merge (the first given); parents: a

    ## merge against A: a

    | Task       | Metric          |   n | Merge | Parent | Difference |             95 % |      p | p (Holm) | Won | Lost |   MDE | Verdict             |
    |------------|-----------------|-----|-------|--------|------------|------------------|--------|----------|-----|------|-------|---------------------|
    | ARC        | acc_norm        |  16 | 43.75 |  31.25 |     +12.50 |  -9.28 to +36.02 | 0.5000 |   1.0000 |   2 |    0 | 44.89 | no difference shown |
    | HellaSwag  | acc_norm        |  12 | 75.00 |  66.67 |      +8.33 | -17.94 to +35.39 | 1.0000 |   1.0000 |   1 |    0 | 57.79 | no difference shown |
    | MMLU       | acc             | 114 | 26.32 |  26.32 |      +0.00 | -10.23 to +10.23 | 1.0000 |   1.0000 |  17 |   17 | 14.79 | no difference shown |
    | TruthfulQA | mc2             |  10 | 99.49 |  96.64 |      +2.85 |   -3.59 to +9.29 | 1.0000 |   1.0000 |   1 |    0 |  8.96 | no difference shown |
    | Winogrande | acc             |  12 | 66.67 |  66.67 |      +0.00 | -24.25 to +24.25 | 1.0000 |   1.0000 |   0 |    0 | 57.79 | no difference shown |
    | GSM8K      | acc             |   8 | 12.50 |   0.00 |     +12.50 | -24.00 to +47.09 | 1.0000 |   1.0000 |   1 |    0 | 80.14 | no difference shown |
    | average    | mean of columns | 172 | 53.95 |  47.92 |      +6.03 |  -2.45 to +14.17 | 0.1730 |   0.1730 |  22 |   17 | 11.81 | no difference shown |

    Scores, differences, intervals of 95 % and MDE in points. p (Holm) is corrected for the tasks of one parent. MDE: the smallest difference that this comparison had a chance of 80 % to find.

    ## Where the answers of merge come from (A = a)

    | Task       | from A | emergent | lost from A | never had |
    |------------|--------|----------|-------------|-----------|
    | ARC        |      5 |        2 |           0 |         9 |
    | HellaSwag  |      8 |        1 |           0 |         3 |
    | MMLU       |     13 |       17 |          17 |        67 |
    | Winogrande |      8 |        0 |           0 |         4 |
    | GSM8K      |      0 |        1 |           0 |         7 |

    MMLU: 0 of 57 tasks moved from A (a) with p < 0.05, each by itself (chance alone moves up to 3 on average); 0 of them by Holm's p over 57 tasks.

    Over all columns together, no difference between merge and a is shown: +6.03 points (95 %: -2.45 to +14.17, p = 0.1730, 172 documents); if the difference is as it looks, about 490 documents more would settle it, which these tasks do not have.
    ");
}

#[test]
fn json_has_the_shape_that_programs_rely_on() {
    let found = as_json(&["runs/merge", "runs/a", "runs/b"]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
    assert_eq!(keys(&found), ["merge", "merge_by", "parents", "family"]);
    assert_eq!((&found["merge"], &found["parents"][1]["name"]), (&json!("merge"), &json!("b")));
    let row = [
        "task",
        "metric",
        "n",
        "merge",
        "parent",
        "difference",
        "ci95",
        "p",
        "p_holm",
        "won",
        "lost",
        "mde",
        "verdict",
    ];
    for parent in found["parents"].as_array().unwrap() {
        assert_eq!(keys(parent), ["name", "tasks", "average", "partial_average", "conclusion"]);
        let tasks = parent["tasks"].as_array().unwrap();
        let names: Vec<&str> = tasks.iter().map(|task| task["task"].as_str().unwrap()).collect();
        assert_eq!(names, ["ARC", "HellaSwag", "MMLU", "TruthfulQA", "Winogrande", "GSM8K"]);
        for task in tasks.iter().chain([&parent["average"]]) {
            assert_eq!(keys(task), row);
            let of = |key: &str| task[key].as_f64().unwrap();
            assert!((of("merge") - of("parent") - of("difference")).abs() < 1e-12, "{task}");
            assert!(task["ci95"][0].as_f64().unwrap() <= of("difference"), "{task}");
            assert!(task["ci95"][1].as_f64().unwrap() >= of("difference"), "{task}");
            assert!(of("p") <= of("p_holm") && of("p_holm") <= 1.0, "{task}");
        }
        // The average is the unweighted mean of the columns.
        let mean = tasks.iter().map(|task| task["difference"].as_f64().unwrap()).sum::<f64>() / 6.0;
        assert!((parent["average"]["difference"].as_f64().unwrap() - mean).abs() < 1e-12);
    }
}

/// Counts from the samples themselves, with code other than the command's.
#[test]
fn scores_and_counts_are_those_of_the_samples() {
    let values = |run: &str, task: &str, metric: &str| -> Vec<f64> {
        let file = FAMILY.path().join(format!("runs/{run}/samples/{task}.jsonl"));
        let text = std::fs::read_to_string(file).unwrap();
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()[metric].as_f64().unwrap();
        text.lines().map(line).collect()
    };
    let found = as_json(&["runs/merge", "runs/a", "runs/b"]);
    for (place, (column, task, metric)) in
        [(0, ("ARC", "arc_challenge", "acc_norm")), (3, ("TruthfulQA", "truthfulqa_mc", "mc2"))]
    {
        let merge = values("merge", task, metric);
        for (parent, name) in ["a", "b"].iter().enumerate() {
            let other = values(name, task, metric);
            let row = &found["parents"][parent]["tasks"][place];
            assert_eq!((&row["task"], &row["n"]), (&json!(column), &json!(merge.len())));
            let won = merge.iter().zip(&other).filter(|(a, b)| a > b).count();
            let lost = merge.iter().zip(&other).filter(|(a, b)| a < b).count();
            assert_eq!((&row["won"], &row["lost"]), (&json!(won), &json!(lost)));
            let mean = other.iter().sum::<f64>() / other.len() as f64;
            assert!((row["parent"].as_f64().unwrap() - mean).abs() < 1e-12);
        }
    }
    // Every right and every wrong answer of a column falls into exactly one class of the family.
    let (merge, a, b) = (
        values("merge", "winogrande", "acc"),
        values("a", "winogrande", "acc"),
        values("b", "winogrande", "acc"),
    );
    let count = |right: [f64; 3]| (0..merge.len()).filter(|&i| [merge[i], a[i], b[i]] == right).count();
    let family = &found["family"]["Winogrande"];
    let expected = json!({
        "inherited": [
            {"from": ["a"], "count": count([1.0, 1.0, 0.0])},
            {"from": ["b"], "count": count([1.0, 0.0, 1.0])},
            {"from": ["a", "b"], "count": count([1.0; 3])},
        ],
        "emergent": count([1.0, 0.0, 0.0]),
        "lost": [
            {"from": ["a"], "count": count([0.0, 1.0, 0.0])},
            {"from": ["b"], "count": count([0.0, 0.0, 1.0])},
            {"from": ["a", "b"], "count": count([0.0, 1.0, 1.0])},
        ],
        "never_had": count([0.0; 3]),
    });
    assert_eq!(family, &expected);
    assert!(found["family"]["TruthfulQA"].is_null(), "a mass is neither right nor wrong");
    assert_eq!(found["family"]["MMLU"]["by_task"].as_object().unwrap().len(), 57);
}

#[test]
fn documents_that_flipped_are_listed_with_their_prompts() {
    let found = as_json(&["runs/merge", "runs/a", "runs/b", "--flips"]);
    let flips = found["flips"].as_array().unwrap();
    let of = |task: &str| flips.iter().filter(|flip| flip["task"] == task).collect::<Vec<_>>();
    let in_family = |key: &str| -> u64 {
        let sets = found["family"]["Winogrande"][key].as_array().unwrap();
        sets.iter()
            .filter(|set| key == "lost" || set["from"].as_array().unwrap().len() == 1)
            .map(|set| set["count"].as_u64().unwrap())
            .sum()
    };
    let emergent = found["family"]["Winogrande"]["emergent"].as_u64().unwrap();
    assert_eq!(of("winogrande").len() as u64, in_family("inherited") + in_family("lost") + emergent);
    for flip in flips {
        let prompt = flip["prompt"].as_str().unwrap();
        assert!(!prompt.is_empty(), "{flip}");
        let models = flip["models"].as_array().unwrap();
        assert_eq!(models.len(), 3);
        assert!(models[1..].iter().any(|model| model["right"] != models[0]["right"]), "{flip}");
        let gold = flip["gold"].as_u64();
        for model in models.iter().filter(|_| gold.is_some()) {
            let right = flip["choices"][gold.unwrap() as usize] == model["answer"];
            assert_eq!(model["right"], right, "{flip}");
        }
    }
    let text = stdout(&compare(&["runs/merge", "runs/a", "--flips"]));
    assert!(text.contains(" documents flipped; "), "{text}");
    assert!(text.contains("\n  right is: ") && text.contains("\n  a: wrong: "), "{text}");
}

#[test]
fn what_is_no_whole_column_stands_under_its_own_name() {
    let place = FAMILY.path();
    let tasks = "hendrycksTest-anatomy,arc_challenge";
    for name in ["merge", "a"] {
        evaluate(place, name, &format!("runs/part-{name}"), &["--tasks", tasks]);
        evaluate(
            place,
            name,
            &format!("runs/few-{name}"),
            &["--tasks", "mmlu,arc_challenge", "--limit", "1"],
        );
    }
    let names = |found: &Value| -> Vec<String> {
        let tasks = found["parents"][0]["tasks"].as_array().unwrap();
        tasks.iter().map(|task| task["task"].as_str().unwrap().to_string()).collect()
    };
    let part = as_json(&["runs/part-merge", "runs/part-a"]);
    assert_eq!(names(&part), ["ARC", "hendrycksTest-anatomy"]);
    assert!(part["parents"][0]["average"].is_null());
    let few = as_json(&["runs/few-merge", "runs/few-a"]);
    assert_eq!(names(&few), ["arc_challenge", "mmlu"]);
    assert_eq!(few["parents"][0]["tasks"][1]["n"], 57);

    // Other documents are refused, unless `--common` is given.
    let refused = compare(&["runs/merge", "runs/few-a"]);
    assert_eq!(refused.status.code(), Some(2));
    insta::assert_snapshot!(stderr(&refused), @r"
    error: runs/merge and runs/few-a have other documents in arc_challenge: 15 only in the first, 0 only in the second, 1 in both
    hint: --common compares the documents that both have
    ");
    let output = compare(&["runs/merge", "runs/few-a", "runs/b", "--common", "--format", "json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let common: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(names(&common), ["arc_challenge", "mmlu"]);
    assert_eq!(common["parents"][0]["tasks"][0]["n"], 1);
    let said = stderr(&output);
    assert!(
        said.contains(
            "note: arc_challenge and 57 more tasks: 58 documents in common: runs/merge has 130, runs/few-a has 58, runs/b has 130"
        ),
        "{said}"
    );
    assert!(said.contains("note: only in runs/merge, and not compared with runs/few-a: hellaswag, truthfulqa_mc, winogrande and 1 more"), "{said}");
}

#[test]
fn a_worse_merge_fails_where_that_is_asked_for() {
    let (_folder, copy) = copy_of("runs/b");
    for task in ["arc_challenge", "hellaswag"] {
        let path = copy.join(format!("samples/{task}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"acc_norm\":1.0}", "\"acc_norm\":0.0}")).unwrap();
    }
    record_again(&copy);
    let copy = copy.to_str().unwrap();
    let code = |arguments: &[&str]| compare(arguments).status.code();
    assert_eq!(code(&[copy, "runs/a"]), Some(0));
    assert_eq!(code(&[copy, "runs/a", "--fail-on", "worse"]), Some(1));
    assert_eq!(code(&["runs/a", copy, "--fail-on", "worse"]), Some(0));
    let found = as_json(&[copy, "runs/a"]);
    assert_eq!(found["parents"][0]["average"]["verdict"], "worse");
    let found = as_json(&["runs/a", copy]);
    assert_eq!(found["parents"][0]["average"]["verdict"], "better");
}

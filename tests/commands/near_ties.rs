//! Near-ties in the output of `assay eval`.

use std::path::Path;

use serde_json::{Map, Value};

use super::{assay, stderr, stdout};

fn samples(out: &Path, task: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join(format!("samples/{task}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A value's structure, without its numbers and texts.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (k.clone(), shape(v))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "bool".into(),
        Value::Null => Value::Null,
    }
}

#[test]
fn samples_results_and_table_tell_of_near_ties() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = ["arc_challenge", "truthfulqa_mc", "winogrande", "gsm8k"];
    let arguments = ["eval", "--tasks", &tasks.join(","), "--dtype", "bf16", "--output", "out"];
    let output = assay(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let out = folder.path().join("out");
    let results: Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("results.json")).unwrap()).unwrap();

    let (mut near, mut documents) = (0, 0);
    for task in tasks {
        let lines = samples(&out, task);
        let decided = lines[0]["near_tie"].as_object().unwrap();
        for metric in decided.keys() {
            let marked = lines.iter().filter(|line| line["near_tie"][metric] == true).count();
            assert_eq!(results["results"][task][format!("{metric}_near_ties")], marked, "{task} {metric}");
        }
        documents += lines.len();
        let any = |line: &Value| line["near_tie"].as_object().unwrap().values().any(|mark| mark == true);
        near += lines.iter().filter(|line| any(line)).count();
    }
    assert!(near > 0, "a small model in bfloat16 ties somewhere");
    let said = format!(
        "\nNear-ties: {near} of {documents} documents, which the rounding of logits alone could have decided otherwise.\n"
    );
    assert!(stdout(&output).contains(&said), "{}", stdout(&output));
    // A probability mass is not a decision, so it has no near-ties.
    assert_eq!(results["results"]["truthfulqa_mc"].get("mc2_near_ties"), None);

    // With two choices a near-tie is a margin of at most both rounding errors together.
    for line in samples(&out, "winogrande") {
        let number = |place: usize, key: &str| line["requests"][place][key].as_f64().unwrap();
        let margin = (number(0, "loglikelihood") - number(1, "loglikelihood")).abs();
        assert!((line["margin"]["acc"].as_f64().unwrap() - margin).abs() < 1e-12);
        assert_eq!(line["near_tie"]["acc"], margin <= number(0, "rounding") + number(1, "rounding"));
    }

    insta::assert_snapshot!(shape(&samples(&out, "arc_challenge")[0]), @r#"{"doc_id":"number","row":"number","gold":"number","choices":["text"],"requests":[{"loglikelihood":"number","is_greedy":"bool","num_tokens":"number","rounding":"number","greedy_near_tie":"bool"}],"margin":{"acc":"number","acc_norm":"number"},"near_tie":{"acc":"bool","acc_norm":"bool"},"acc":"number","acc_norm":"number"}"#);
    insta::assert_snapshot!(shape(&samples(&out, "truthfulqa_mc")[0]), @r#"{"doc_id":"number","row":"number","gold":["number"],"choices":["text"],"views":[{"choices":["number"],"gold":"number"}],"requests":[{"loglikelihood":"number","is_greedy":"bool","num_tokens":"number","rounding":"number","greedy_near_tie":"bool"}],"margin":{"mc1":"number"},"near_tie":{"mc1":"bool"},"mc1":"number","mc2":"number"}"#);
    insta::assert_snapshot!(shape(&samples(&out, "gsm8k")[0]), @r#"{"doc_id":"number","row":"number","gold":"text","requests":[{"text":"text","num_tokens":"number","near_ties":"number"}],"near_tie":{"acc":"bool"},"acc":"number"}"#);
    insta::assert_snapshot!(shape(&results["results"]["arc_challenge"]), @r#"{"acc":"number","acc_stderr":"number","acc_near_ties":"number","acc_norm":"number","acc_norm_stderr":"number","acc_norm_near_ties":"number"}"#);
}

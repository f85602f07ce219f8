//! Checks whether a run's record agrees with itself, with its results and with its journal.

use serde_json::{Map, Value, json};

use super::findings::{Findings, Verdict};
use crate::store::seal_of;
use crate::store::{
    History, JOURNAL, RecordedRun, Session, SessionWork, TaskSamples, differences, journal_differences,
};
use crate::vocabulary::Fingerprint;

/// Checks the facts that are in several places of a run's files.
pub fn check(run: &RecordedRun, findings: &mut Findings) {
    let get = |keys: &[&str]| run.get(keys).clone();
    let weights: Vec<&str> = run.hashes(&["model", "weights"]).into_iter().map(|(_, hash)| hash).collect();
    let facts = json!({
        "assay": get(&["assay"]),
        // Records from before runs had names are called after their model.
        "name": run.text(&["name"]).map_or_else(|| get(&["model", "name"]), Value::from),
        "model": {
            "weights": weights,
            "config": get(&["model", "config_blake3"]),
            "dtype": get(&["dtype"]),
            "device": get(&["device"]),
            "kernels": get(&["kernels"]),
            "numerics": get(&["numerics"]),
        },
        "tokenizer": get(&["tokenizer", "blake3"]),
        "end_of_text": get(&["end_of_text"]),
        "limit": get(&["limit"]),
        "num_fewshot": get(&["num_fewshot"]),
        "chat": get(&["chat"]),
        "views": get(&["views"]),
    });
    // Only the parts of the identity that the rest has too: an interrupted run lacks tasks.
    let identity = run.get(&["identity"]);
    let shared: Map<String, Value> = facts
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| (key.clone(), identity[key.as_str()].clone()))
        .collect();
    findings.same("facts of the record", &facts, &Value::Object(shared));
    let Ok(results) = run.results() else { return };
    let tasks = |fact: &dyn Fn(&Value) -> Value| -> Map<String, Value> {
        run.tasks().map(|(name, record)| (name.to_string(), fact(record))).collect()
    };
    let expected = json!({
        "config": {
            "model": get(&["model", "name"]),
            "model_path": get(&["model", "path"]),
            "dtype": get(&["dtype"]),
            "device": get(&["device"]),
            "limit": get(&["limit"]),
            "num_fewshot": get(&["num_fewshot"]),
            "assay": get(&["assay"]),
        },
        "n-shot": tasks(&|record| record["num_fewshot"].clone()),
        "n-samples": tasks(&|record| json!({"original": record["available"], "effective": record["documents"]})),
        "versions": tasks(&|record| record["config"]["metadata"]["version"].clone()),
    });
    let found: Map<String, Value> = ["config", "n-shot", "n-samples", "versions"]
        .map(|key| (key.to_string(), results.get(key).cloned().unwrap_or_default()))
        .into_iter()
        .collect();
    findings.same("facts in results.json", &expected, &Value::Object(found));
    let suite = results.get("suite").cloned().unwrap_or_default();
    if suite.is_object() {
        let reasons = suite["unranked_because"].as_array().map_or(0, Vec::len);
        let mut expected = suite["ranked"].clone();
        // Some of the reasons follow from the record.
        let incomplete = run.tasks().any(|(_, record)| {
            record["documents"] != record["available"]
                || record["sample_data"] == true
                || record["included"] == true
        });
        let apart = incomplete || run.get(&["model", "sample"]) == true || run.get(&["interrupted"]) == true;
        if apart || reasons > 0 {
            expected = false.into();
        }
        findings.same("whether it is ranked", &suite["ranked"], &expected);
    }
}

/// Compares the journal with the samples and the record.
pub fn check_journal(run: &RecordedRun, samples: &[TaskSamples], findings: &mut Findings) {
    let path = run.path.join(JOURNAL);
    if !path.exists() {
        findings.add(JOURNAL, Verdict::Unchecked("it is not there".into()));
        return;
    }
    let history = match History::read(&path) {
        Ok(history) => history,
        Err(error) => return findings.add(JOURNAL, Verdict::Differs(error.to_string())),
    };
    let identity = history.identity.clone().unwrap_or_default();
    findings.add(
        "the run that the journal is of",
        match differences(&identity, run.get(&["identity"])).first() {
            None => Verdict::Same,
            Some(difference) => Verdict::Differs(difference.between(JOURNAL, "run.json")),
        },
    );
    check_sessions(run, &history, findings);
    let (count, first) = journal_differences(&history, samples);
    findings.add(
        format!("answers in the journal ({})", history.answers.len()),
        match first {
            None => Verdict::Same,
            Some(first) => Verdict::Differs(format!("{first} ({count} in all)")),
        },
    );
}

/// Checks what the sessions cost, and whether the last one finished the run.
fn check_sessions(run: &RecordedRun, history: &History, findings: &mut Findings) {
    let sum = |of: fn(&SessionWork) -> usize| {
        history.sessions.iter().map(|Session { work, .. }| of(work)).sum::<usize>()
    };
    let complete = run.get(&["interrupted"]) == false && run.get(&["failed"]).is_null();
    // Runs from before there were drafts do not record them.
    let drafts = |name: &str| match run.get(&[name]) {
        Value::Null => json!(0),
        count => count.clone(),
    };
    let recorded = json!({
        "tokens_computed": run.get(&["tokens_computed"]),
        "tokens_generated": run.get(&["tokens_generated"]),
        "tokens_drafted": drafts("tokens_drafted"),
        "tokens_accepted": drafts("tokens_accepted"),
        "passes": run.get(&["passes"]),
        "from_cache": run.get(&["answers", "from_cache"]),
        "answers": run.get(&["answers", "computed"]).as_u64().zip(run.get(&["answers", "from_cache"]).as_u64()).map(|(a, b)| a + b),
        "complete": complete,
    });
    let found = json!({
        "tokens_computed": sum(|work| work.tokens_computed),
        "tokens_generated": sum(|work| work.tokens_generated),
        "tokens_drafted": sum(|work| work.tokens_drafted),
        "tokens_accepted": sum(|work| work.tokens_accepted),
        "passes": sum(|work| work.passes),
        "from_cache": history.from_cache,
        "answers": history.answers.len(),
        "complete": history.finished,
    });
    findings.same("work in the journal", &recorded, &found);
}

/// Checks the record's own seal, and the files that it names.
pub fn check_files(run: &RecordedRun, findings: &mut Findings) {
    findings.hash("run.json", run.text(&["seal"]).unwrap_or("no seal"), &seal_of(&run.run).to_string());
    let files = run.hashes(&["files"]);
    for (name, recorded) in &files {
        match run.read(name) {
            Ok(bytes) => findings.hash_of("file", *name, recorded, &Fingerprint::of(&bytes).to_string()),
            Err(error) => findings.add_of("file", *name, Verdict::Differs(error.to_string())),
        }
    }
    for name in run.sample_files().iter().filter(|name| !files.iter().any(|(known, _)| known == name)) {
        findings.add_of("file", name, Verdict::Differs("it is there, and run.json does not name it".into()));
    }
}

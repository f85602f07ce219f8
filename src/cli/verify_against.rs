//! The differences between two runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::findings::{Findings, Verdict, same_or};
use super::verify_record::check_files;
use crate::store::{Difference, RecordedRun, differences, samples_file};

/// Lists the differences between two runs: in their records and samples first, then in their scores.
pub fn compare(run: &RecordedRun, other: &RecordedRun, findings: &mut Findings) {
    let between = |found: &Difference| found.between(run.path.display(), other.path.display());
    let identity = |run: &RecordedRun| by_task(run.get(&["identity"]));
    let (left, right) = (identity(run), identity(other));
    let names: Vec<&String> =
        left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))).collect();
    // Names say nothing where the models are the same; where they differ, another name and other answers are what is expected.
    let other_model =
        ["model weights", "model config"].iter().any(|fact| left.get(*fact) != right.get(*fact));
    // Where two models are meant, this is the difference that is missing.
    if left.get("name") != right.get("name") && left.contains_key("model weights") && !other_model {
        findings.add("model weights and config, under another name", Verdict::Same);
    }
    for name in names {
        let null = Value::Null;
        let (a, b) = (left.get(name).unwrap_or(&null), right.get(name).unwrap_or(&null));
        let found = differences(a, b);
        let how: Vec<String> = found.iter().map(between).collect();
        let verdict = same_or(how.is_empty(), || how.join("; "));
        findings.add(
            name.as_str(),
            pointed(verdict, OF_THE_MODEL.contains(&name.as_str()) && (other_model || name == "name")),
        );
    }
    // A run that is not what its own record says is not worth comparing.
    for side in [run, other] {
        let mut own = Findings::default();
        check_files(side, &mut own);
        findings.add(
            format!("files of {}, beside its record", side.path.display()),
            same_or(own.first_difference().is_none(), || own.first_difference().unwrap_or_default()),
        );
    }
    for (name, _) in run.tasks() {
        let file = samples_file(name).display().to_string();
        let lines =
            |run: &RecordedRun| run.read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let verdict = match (lines(run), lines(other)) {
            (Ok(a), Ok(b)) => {
                let count = a.lines().count().max(b.lines().count());
                let places =
                    a.lines().zip(b.lines()).enumerate().filter(|(_, (a, b))| a != b).map(|(place, _)| place);
                let differing = places.clone().count() + a.lines().count().abs_diff(b.lines().count());
                let first = places.clone().next().unwrap_or_else(|| a.lines().count().min(b.lines().count()));
                same_or(differing == 0, || {
                    format!("{differing} of {count} documents, the first in line {}", first + 1)
                })
            }
            _ => Verdict::Unchecked("one of the runs has no samples of it".into()),
        };
        findings.add_of("samples", name, pointed(verdict, other_model));
    }
    let scores = |run: &RecordedRun| run.results().ok().and_then(|results| results.get("results").cloned());
    let what = "scores";
    match (scores(run), scores(other)) {
        (Some(a), Some(b)) => {
            let found = differences(&a, &b);
            let how = || {
                let first = found.first().map(between).unwrap_or_default();
                format!("{} values, the first: {first}", found.len())
            };
            findings.add(what, pointed(same_or(found.is_empty(), how), other_model));
        }
        _ => findings.add(what, Verdict::Unchecked("a results.json is missing or damaged".into())),
    }
}

/// Facts of an identity that belong to the model itself: its names, and what its own files say.
const OF_THE_MODEL: [&str; 6] =
    ["name", "model name", "model location", "model weights", "model config", "end_of_text"];

/// A difference that is the point of the comparison, if it is one.
fn pointed(verdict: Verdict, point: bool) -> Verdict {
    match verdict {
        Verdict::Differs(how) if point => Verdict::Point(how),
        verdict => verdict,
    }
}

/// An identity with its tasks by name, flattened to one level that people can read.
fn by_task(identity: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (key, value) in identity.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("tasks", Value::Array(tasks)) => {
                for task in tasks {
                    let name = task["task"].as_str().unwrap_or("unnamed");
                    found.insert(format!("task {name}"), task.clone());
                }
            }
            ("model", Value::Object(model)) => {
                found.extend(model.iter().map(|(key, value)| (format!("model {key}"), value.clone())));
            }
            _ => {
                found.insert(key.clone(), value.clone());
            }
        }
    }
    found
}

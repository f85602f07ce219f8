//! `re` against CPython's own, over generated patterns: which are refused and how, what is found, what is
//! replaced.

mod generate;

use std::io::Write;
use std::process::{Command, Stdio};

use assay::python::regex::PythonRegex;
use serde_json::{Value, json};

use generate::Random;

const CASES: usize = 10_000;
/// Versions whose `re` has the same rules.
const VERSIONS: std::ops::RangeInclusive<u64> = 11..=13;

/// Python's answers, its version first; `None` if there is no Python.
fn ask_python(cases: &[Value]) -> Option<Vec<Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_re/answer.py");
    let mut python =
        Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = python.stdin.take().unwrap();
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    let _ = writer.join();
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What we say, in the shape of `answer.py`.
fn ask_ours(case: &Value) -> Value {
    let regex = match PythonRegex::new(case["pattern"].as_str().unwrap()) {
        Ok(regex) => regex,
        Err(error) => return json!({"error": error}),
    };
    let mut found = Vec::new();
    for text in case["texts"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        let spans = match regex.find_spans(text) {
            Ok(spans) => spans,
            Err(error) if error.contains("backtracks") => return json!({"slow": true}),
            Err(_) => return json!({"broken": true}),
        };
        let chars = |at: usize| text[..at].chars().count();
        let span = |span: &Option<(usize, usize)>| match span {
            Some((start, end)) => json!([chars(*start), chars(*end)]),
            None => json!([-1, -1]),
        };
        let spans: Vec<Vec<Value>> = spans.iter().map(|groups| groups.iter().map(span).collect()).collect();
        let count = case["count"].as_u64().unwrap() as usize;
        let replaced = match regex.sub(text, case["replacement"].as_str().unwrap(), count) {
            Ok(replaced) => json!(replaced),
            // Our message begins with the replacement.
            Err(error) => json!({"error": error.split_once("`: ").unwrap().1}),
        };
        found.push(json!([spans, replaced]));
    }
    json!({"found": found})
}

/// A message as we write it: in one line.
fn in_one_line(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(Value::String(error)) = answer.get_mut("error") {
        *error = error.replace(['\n', '\r'], " ");
    }
    for found in answer.get_mut("found").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(error)) = found[1].get_mut("error") {
            *error = error.replace(['\n', '\r'], " ");
        }
    }
    answer
}

#[test]
fn patterns_mean_what_they_mean_to_python() {
    let mut random = Random(37);
    let cases: Vec<Value> = (0..CASES)
        .map(|_| {
            let pattern = generate::pattern(&mut random);
            let texts: Vec<String> = (0..3).map(|_| generate::text(&mut random, &pattern)).collect();
            let replacement = generate::replacement(&mut random);
            json!({"pattern": pattern, "texts": texts, "replacement": replacement, "count": random.below(3)})
        })
        .collect();
    let Some(answers) = ask_python(&cases).filter(|answers| !answers.is_empty()) else {
        eprintln!("skipped: there is no python3 here");
        return;
    };
    let version = &answers[0];
    if version[0] != 3 || !version[1].as_u64().is_some_and(|minor| VERSIONS.contains(&minor)) {
        eprintln!("skipped: the python3 here is {version}, whose `re` has other rules");
        return;
    }
    assert_eq!(answers.len(), CASES + 1);
    let (mut refused, mut slow, mut matches, mut wrong) = (0, 0, 0, Vec::new());
    for (case, python) in cases.iter().zip(&answers[1..]) {
        let (ours, python) = (ask_ours(case), in_one_line(python));
        if ours.get("slow").or(python.get("slow")).is_some() {
            slow += 1;
            continue;
        }
        refused += usize::from(python.get("error").is_some());
        for found in python["found"].as_array().into_iter().flatten() {
            matches += found[0].as_array().map_or(0, Vec::len);
        }
        if ours != python {
            wrong.push(format!("{case}\n  python {python}\n  ours   {ours}"));
        }
    }
    println!("{refused} of {CASES} refused, {matches} matches, {slow} slow");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"));
    assert!(slow <= 10, "{slow} were given up");
    assert!(
        (CASES / 20..CASES / 2).contains(&refused) && matches > CASES,
        "{refused} refused, {matches} matches"
    );
}

//! `assay verify`: checks whether a run is what its record says.

use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::arguments::TableOrJson;
use super::failure::{self, Failure};
use super::findings::{Finding, Findings, Verdict, one_line};
use super::output::{say, write_stdout};
use super::run_names::ResultsArgument;
use super::screen::{format_of, paper};
use super::verify_inputs::InputPlaces;
use super::verify_record::check_files;
use super::{verify_against, verify_inputs, verify_record};
use crate::report::labelled;
use crate::store::{
    RecordedRun, TaskSamples, differences, recheck, recheck_groups, recheck_suite, samples_file, shown,
};
use crate::task::{TaskIndex, task_of_config};

/// `assay verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Folder of a run, or its name
    pub run: PathBuf,
    /// Folder or name of another run: list what differs between the two, before any score
    #[arg(long, value_name = "RUN")]
    pub against: Option<PathBuf>,
    #[command(flatten)]
    pub results: ResultsArgument,
    #[command(flatten)]
    pub places: InputPlaces,
    /// How to write the findings: a line each, or JSON [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<TableOrJson>,
}

/// Checks a run, or lists the differences between two runs.
pub fn run(arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let format = format_of(arguments.format, TableOrJson::Json)?;
    let run = RecordedRun::open(&arguments.results.find(&arguments.run)?)?;
    let mut findings = Findings::default();
    match &arguments.against {
        Some(other) => {
            let other = RecordedRun::open(&arguments.results.find(other)?)?;
            for side in [&run, &other] {
                if let Some(how) = side.unfinished() {
                    say!("note: {}: the run is not finished: {how}", side.path.display());
                }
            }
            verify_against::compare(&run, &other, &mut findings)
        }
        None => {
            let include = verify_inputs::include(&arguments.places, &run);
            let index = match TaskIndex::load(&include) {
                Ok(index) => index,
                Err(error) => {
                    findings.add("task files of one's own", Verdict::Unchecked(one_line(&error)));
                    TaskIndex::load(&[])?
                }
            };
            check_files(&run, &mut findings);
            verify_record::check(&run, &mut findings);
            if let Some(how) = run.unfinished() {
                let command = run.command().map(|command| format!("; go on with: {}", command.again()));
                let how = format!("it is not finished: {how}{}", command.unwrap_or_default());
                findings.add("the rest of the run", Verdict::Unchecked(how));
            }
            let samples = check_samples(&run, &index, &mut findings)?;
            verify_record::check_journal(&run, &samples, &mut findings);
            verify_inputs::check(&arguments.places, &run, &index, &samples, &mut findings);
            findings.add(
                "times, memory, threads and arguments",
                Verdict::Unchecked("only the record tells them".into()),
            );
            findings.add(
                "the model's answers themselves",
                Verdict::Unchecked("only the model can give them again: `assay eval --no-cache`".into()),
            );
        }
    }
    let differ = findings.count(|verdict| matches!(verdict, Verdict::Differs(_)));
    write_stdout(&match format {
        TableOrJson::Table => text(&findings, differ, arguments.against.is_some()),
        TableOrJson::Json => json_text(&findings),
    })?;
    Ok(if differ > 0 { ExitCode::from(failure::NO) } else { ExitCode::SUCCESS })
}

fn text(findings: &Findings, differ: usize, against: bool) -> String {
    let mut text = String::new();
    let mut line = |label: &str, said: &str| text.push_str(&(labelled(label, said, paper().width) + "\n"));
    let mut reported = BTreeSet::new();
    // What the comparison is about is listed apart, before what spoils it and what is the same.
    let place = |finding: &&Finding| match &finding.verdict {
        Verdict::Point(_) => 0,
        Verdict::Differs(_) if against => 1,
        _ => 2,
    };
    let mut listed: Vec<&Finding> = findings.0.iter().collect();
    listed.sort_by_key(place);
    for finding in listed {
        let name = finding.name();
        let (label, said) = match &finding.verdict {
            // What is the same for many tasks is reported once.
            Verdict::Same if finding.of.is_some() => {
                if !reported.insert(&finding.what) {
                    continue;
                }
                let alike = |other: &&Finding| other.what == finding.what && other.verdict == Verdict::Same;
                match findings.0.iter().filter(alike).count() {
                    1 => ("same         ", name),
                    count => ("same         ", format!("{} ({count})", finding.what)),
                }
            }
            Verdict::Same => ("same         ", name),
            Verdict::Differs(how) => ("differs      ", format!("{name}: {how}")),
            Verdict::Point(how) => ("the point    ", format!("{name}: {how}")),
            Verdict::Unchecked(why) => ("not checked  ", format!("{name}: {why}")),
        };
        line(label, &said);
    }
    let same = findings.count(|verdict| *verdict == Verdict::Same);
    let unchecked = findings.count(|verdict| matches!(verdict, Verdict::Unchecked(_)));
    line("", &format!("{same} the same, {differ} differ, {unchecked} not checked"));
    if against {
        let points = findings.count(|verdict| matches!(verdict, Verdict::Point(_)));
        let said = match (points, differ) {
            (0, 0) => "nothing differs".to_string(),
            (_, 0) => format!(
                "{points} differences are the point of a comparison (the model, and what follows from it); none spoils it"
            ),
            _ => format!(
                "{points} differences are the point of a comparison (the model, and what follows from it); {differ} spoil it (marked `differs`)"
            ),
        };
        line("", &said);
    }
    text
}

fn json_text(findings: &Findings) -> String {
    let finding = |Finding { what, of, verdict }: &Finding| match verdict {
        Verdict::Same => json!({"what": what, "of": of, "verdict": "same"}),
        Verdict::Differs(how) => json!({"what": what, "of": of, "verdict": "differs", "how": how}),
        Verdict::Point(how) => json!({"what": what, "of": of, "verdict": "the point", "how": how}),
        Verdict::Unchecked(why) => json!({"what": what, "of": of, "verdict": "not checked", "why": why}),
    };
    format!("{:#}\n", Value::Array(findings.0.iter().map(finding).collect()))
}

/// Checks every metric, from the samples to the suite's average.
fn check_samples(
    run: &RecordedRun,
    index: &TaskIndex,
    findings: &mut Findings,
) -> Result<Vec<TaskSamples>, Failure> {
    let results = run.results().unwrap_or_else(|error| {
        findings.add("results.json", Verdict::Differs(one_line(&error)));
        Map::new()
    });
    let of = |key: &str| results.get(key).cloned().unwrap_or_default();
    let (listed, recorded_suite) = (of("results"), of("suite"));
    let recorded = |name: &str| &listed[name];
    let mut all = Vec::new();
    let mut computed: Map<String, Value> = Map::new();
    let path = run.path.join("run.json");
    for (name, record) in run.tasks() {
        let checked = task_of_config(&record["config"], &path).map_err(|error| error.to_string());
        let checked = checked.and_then(|task| {
            let task = if run.has_views() { task.with_views() } else { task };
            let file = samples_file(name).display().to_string();
            let bytes = run.read(&file).map_err(|error| error.to_string())?;
            let text = String::from_utf8(bytes).map_err(|error| format!("{file}: {error}"))?;
            recheck(&task, &text).map_err(|error| error.to_string())
        });
        let what = "metrics";
        let checked = match checked {
            Ok(checked) => checked,
            Err(fault) => {
                findings.add_of(what, name, Verdict::Differs(fault));
                continue;
            }
        };
        let mut faults = checked.faults;
        let counted = checked.samples.len() as u64;
        if record["documents"].as_u64() != Some(counted) {
            faults.push(format!("{counted} samples, recorded {}", record["documents"]));
        }
        let entry = Value::Object(checked.results);
        if let Some(difference) = differences(&record["near_ties"], &json!(checked.near_ties)).first() {
            let difference = difference.between("run.json", "the samples");
            faults.push(format!("near-ties: {difference}"));
        }
        for difference in differences(recorded(name), &entry) {
            let (left, right) = (shown(difference.left.as_ref()), shown(difference.right.as_ref()));
            faults.push(format!("{} is {left} in results.json, computed again {right}", difference.path));
        }
        let more = faults.len().saturating_sub(1);
        findings.add_of(
            what,
            name,
            match faults.into_iter().next() {
                None => Verdict::Same,
                Some(first) if more == 0 => Verdict::Differs(first),
                Some(first) => Verdict::Differs(format!("{first}; and {more} more")),
            },
        );
        computed.insert(name.to_string(), entry);
        all.push((Arc::from(name), checked.samples));
    }
    let listed = listed.as_object().into_iter().flatten();
    for (name, _) in listed.filter(|(name, _)| !computed.contains_key(*name)) {
        if !run.tasks().any(|(known, _)| known == name) {
            findings.add_of("metrics", name, Verdict::Differs("run.json has no such task".into()));
        }
    }
    let (groups, again) = (of("groups"), recheck_groups(run, &computed));
    if !again.is_empty() || !groups.is_null() {
        findings.same("scores of groups", &groups, &Value::Object(again));
    }
    if let Some(name) = recorded_suite["name"].as_str() {
        let what = format!("columns and average of {name}");
        findings.add(
            what,
            match index.suites().iter().find(|suite| suite.name == name) {
                None => Verdict::Unchecked("there is no such suite here".into()),
                Some(suite) => {
                    let again = recheck_suite(suite, index, &computed)?;
                    let found = json!({
                        "columns": recorded_suite["columns"],
                        "average": recorded_suite["average"],
                    });
                    match differences(&found, &again).first() {
                        None => Verdict::Same,
                        Some(difference) => {
                            let (left, right) =
                                (shown(difference.left.as_ref()), shown(difference.right.as_ref()));
                            Verdict::Differs(format!("{} is {left}, computed again {right}", difference.path))
                        }
                    }
                }
            },
        );
    }
    Ok(all)
}

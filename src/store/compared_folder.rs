//! A run's folder, read for comparisons.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use miette::Diagnostic;
use rayon::prelude::*;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use thiserror::Error;

use super::begun_run::go_on;
use super::chat_record::chat_facts;
use super::recorded_run::{RecordedError, RecordedRun};
use super::samples::{Sample, samples_file};
use crate::metric::Scorer;
use crate::task::task_of_config;
use crate::vocabulary::{ADD_BOS_TOKEN, EmptyContext, SAMPLE_MODEL};
use crate::vocabulary::{
    ComparedDocument, ComparedMetric, ComparedRun, ComparedTask, Decision, DocumentRequests, Fingerprint,
};

/// A run's folder cannot be compared.
#[derive(Debug, Error, Diagnostic)]
pub enum ComparedError {
    /// It is not a run's folder.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Recorded(#[from] RecordedError),
    /// A file has content that a run does not write.
    #[error("{path}:{line}: {what}")]
    #[diagnostic(
        code(assay::input),
        help(
            "the file is damaged: `assay verify RUN` says more, and the command that made the run, given again after its results are removed, writes it anew from the journal"
        )
    )]
    Damaged {
        path: String,
        /// From 1.
        line: usize,
        /// The fault.
        what: String,
    },
    /// A task whose recorded configuration can no longer be read, or whose metrics can no longer be bound.
    #[error("{path}: task `{task}`: {what}")]
    #[diagnostic(code(assay::input), help("run.json is damaged, or of another version of assay"))]
    Task {
        path: String,
        task: String,
        /// The fault.
        what: String,
    },
}

/// How much of each document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What scores need.
    Scores,
    /// What scores need, and the answers.
    Answers,
}

/// Reads the run in `folder`.
///
/// # Errors
/// There is no finished run, its samples are damaged, or its files are not as the run wrote them.
pub fn compared_folder(folder: &Path, detail: Detail) -> Result<ComparedRun, ComparedError> {
    let source = folder.display().to_string();
    let run = RecordedRun::open(folder)?;
    if let Some(how) = run.unfinished() {
        let hint = go_on(run.command().as_ref());
        return Err(RecordedError::Unfinished { path: source, how, hint }.into());
    }
    let tasks: Vec<(&str, &Value)> = run.tasks().collect();
    let read: Vec<Result<ComparedTask, ComparedError>> =
        tasks.par_iter().map(|(name, record)| read_task(&run, name, record, detail)).collect();
    let tasks = read.into_iter().collect::<Result<Vec<ComparedTask>, ComparedError>>()?;
    // After reading: where a line cannot be read, its error says more.
    run.check_as_written()?;
    let mut notes = Vec::new();
    if run.tasks().any(|(_, record)| record["sample_data"] == true) {
        notes.push("it is over built-in samples, not the benchmarks: the numbers are not scores".to_string());
    }
    let mut numerics = BTreeMap::new();
    for (name, keys) in
        [("dtype", ["dtype"]), ("device", ["device"]), ("kernels", ["kernels"]), ("code", ["numerics"])]
    {
        if let Some(value) = run.text(&keys) {
            numerics.insert(name.to_string(), value.to_string());
        }
    }
    let name = run.text(&["name"]).or(run.text(&["model", "name"])).unwrap_or(&source).to_string();
    let text = |key: &str| run.text(&["model", key]).unwrap_or_default().to_string();
    Ok(ComparedRun {
        name,
        source,
        model: text("name"),
        location: text("path"),
        weights: run.weight_hashes(),
        // A record from before recipes were kept, or one that was edited, has none.
        recipe: serde_json::from_value(run.get(&["merge"]).clone()).ok(),
        numerics,
        tasks,
        unranked: unranked(&run)?,
        columns: Vec::new(),
        notes,
    })
}

/// Why a run is not ranked, leaving out two reasons: missing columns, and the built-in sample model, whose
/// scores are still that model's scores.
fn unranked(run: &RecordedRun) -> Result<Vec<String>, ComparedError> {
    let results = run.results()?;
    let suite = results.get("suite").unwrap_or(&Value::Null);
    let reasons = suite["unranked_because"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = suite["columns"].as_object().map_or(0, serde_json::Map::len);
    let missing = format!(" of {columns} columns");
    let of_model = |reason: &&str| run.get(&["model", "sample"]) == true && *reason == SAMPLE_MODEL;
    let reasons = reasons.iter().filter_map(Value::as_str);
    let reasons = reasons.filter(|reason| !reason.ends_with(&missing) && !of_model(reason));
    Ok(reasons.map(str::to_string).collect())
}

fn read_task(
    run: &RecordedRun,
    name: &str,
    record: &Value,
    detail: Detail,
) -> Result<ComparedTask, ComparedError> {
    let path = run.path.join("run.json");
    let fault =
        |what: String| ComparedError::Task { path: path.display().to_string(), task: name.to_string(), what };
    let task = task_of_config(&record["config"], &path).map_err(|error| fault(error.to_string()))?;
    let task = if run.has_views() { task.with_views() } else { task };
    let scorer = Scorer::for_task(&task).map_err(|error| fault(error.to_string()))?;
    let means: Vec<(usize, &str, bool)> = scorer.means().collect();
    let file = samples_file(name).display().to_string();
    let bytes = run.read(&file)?;
    let path = run.path.join(&file).display().to_string();
    let damaged = |line: usize, what: String| ComparedError::Damaged { path: path.clone(), line, what };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        damaged(1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count(), error.to_string())
    })?;
    let names: Vec<&str> = means.iter().map(|(_, name, _)| *name).collect();
    let mut documents: Vec<ComparedDocument> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut document =
            read_line(line, &names).map_err(|what| damaged(at + 1, what.to_string().to_lowercase()))?;
        if let Some((_, metric, _)) = means
            .iter()
            .zip(&document.values)
            .find(|((.., decides), v)| *decides && **v != 0.0 && **v != 1.0)
            .map(|(m, _)| m)
        {
            return Err(damaged(at + 1, format!("`{metric}` is neither 0 nor 1")));
        }
        if documents.last().is_some_and(|before| before.doc_id >= document.doc_id) {
            return Err(damaged(at + 1, format!("document {} is out of order", document.doc_id)));
        }
        if detail == Detail::Answers {
            let sample = Sample::read(line, task.metrics.len()).map_err(|what| damaged(at + 1, what))?;
            let answers = answers(&scorer, &sample);
            document.answers =
                means.iter().map(|(place, ..)| answers.get(*place).cloned().flatten()).collect();
        }
        documents.push(document);
    }
    if record["documents"].as_u64() != Some(documents.len() as u64) {
        let what = format!("{} samples, run.json recorded {}", documents.len(), record["documents"]);
        return Err(damaged(documents.len().max(1), what));
    }
    let metric = |(_, name, right_or_wrong): &(usize, &str, bool)| ComparedMetric {
        name: name.to_string(),
        right_or_wrong: *right_or_wrong,
    };
    let chat = run.get(&["chat"]);
    let chat = chat_facts(
        chat["template"].as_str(),
        chat["fewshot_as_multiturn"] == true,
        chat["system_instruction"].as_str(),
    );
    Ok(ComparedTask {
        task: name.to_string(),
        setup: setup(record).into_iter().chain(chat).collect(),
        available: record["available"].as_u64().map(|count| count as usize),
        metrics: means.iter().map(metric).collect(),
        passed: task.passed(),
        documents,
    })
}

/// The facts that determine documents and prompts. `--limit` takes the first documents of a task, so two
/// hashes over prompts are comparable only if they cover equally many documents.
fn setup(record: &Value) -> BTreeMap<String, String> {
    let mut setup = BTreeMap::new();
    setup.insert("shots".to_string(), record["num_fewshot"].to_string());
    // Runs from before there was a choice had no such token, and the end-of-text one for an empty context.
    setup.insert(ADD_BOS_TOKEN.to_string(), (record["add_bos_token"] == true).to_string());
    let empty = record.get("empty_context").unwrap_or(&Value::Null);
    let before = record.get("add_bos_token").is_none().then(|| EmptyContext::EndOfText.word());
    if let Some(word) = empty.as_str().or(before) {
        setup.insert("token for an empty context".to_string(), word.to_string());
    }
    setup.insert(
        "task file".to_string(),
        Fingerprint::of(record["config"].to_string().as_bytes()).to_string(),
    );
    for split in record["datasets"].as_array().into_iter().flatten() {
        let name = format!("rows of `{}`", split["split"].as_str().unwrap_or_default());
        setup.insert(name, split["content_blake3"].as_str().unwrap_or_default().to_string());
    }
    if let Some(prompts) = record["prompts_blake3"].as_str() {
        setup.insert(format!("prompts of {} documents", record["documents"]), prompts.to_string());
    }
    setup
}

fn answers(scorer: &Scorer, sample: &Sample) -> Vec<Option<String>> {
    let document = DocumentRequests {
        task: "".into(),
        doc_id: sample.doc_id,
        row: sample.row,
        gold: sample.gold.clone(),
        requests: Vec::new(),
        choices: sample.choices.clone(),
        views: sample.views.clone(),
    };
    scorer.answers(&document, &sample.responses)
}

fn read_line(line: &str, metrics: &[&str]) -> Result<ComparedDocument, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(line);
    let document = Line { metrics }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(document)
}

/// Reads only what comparisons need from a line, and skips the responses, which are most of it.
struct Line<'a> {
    metrics: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Line<'_> {
    type Value = ComparedDocument;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<ComparedDocument, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Line<'_> {
    type Value = ComparedDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ComparedDocument, A::Error> {
        let mut document = ComparedDocument::default();
        let mut doc_id = None;
        let mut values: Vec<Option<f64>> = vec![None; self.metrics.len()];
        let (mut margins, mut near_ties): (BTreeMap<String, f64>, BTreeMap<String, bool>) =
            Default::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "doc_id" => doc_id = Some(map.next_value()?),
                "row" => document.row = Some(map.next_value()?),
                "gold" => document.gold = Some(map.next_value()?),
                "choices" => document.choices = map.next_value()?,
                "margin" => margins = map.next_value()?,
                "near_tie" => near_ties = map.next_value()?,
                key => match self.metrics.iter().position(|metric| *metric == key) {
                    Some(at) => values[at] = Some(map.next_value()?),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                },
            }
        }
        document.doc_id = doc_id.ok_or_else(|| A::Error::custom("no `doc_id`"))?;
        if document.row.is_none() || document.gold.is_none() {
            return Err(A::Error::custom("no `row` or no `gold`"));
        }
        for (metric, value) in self.metrics.iter().zip(values) {
            document.values.push(value.ok_or_else(|| A::Error::custom(format!("no `{metric}`")))?);
            document.decisions.push(
                near_ties
                    .get(*metric)
                    .map(|near_tie| Decision { margin: margins.get(*metric).copied(), near_tie: *near_tie }),
            );
        }
        Ok(document)
    }
}

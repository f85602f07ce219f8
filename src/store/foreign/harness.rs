//! lm-evaluation-harness 0.4: `results_<date>.json`, and with `--log_samples` `samples_<task>_<date>.jsonl` beside it.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::chat_record::chat_facts;
use super::files::{check, damaged, names_in, number, open, unreadable};
use super::run::{ForeignDocument, ForeignError, ForeignRun, ForeignTask};
use crate::task::Task;
use crate::vocabulary::{Fingerprint, Fingerprinter};

/// Maximum bytes of a line, which is a document with its prompts.
const LONGEST_LINE: u64 = 1 << 28;
/// Tolerance between the mean over documents and the score in the results, which are printed in full
/// precision.
const AGREES: f64 = 1e-9;

/// Whether a file name is that of a results file.
pub fn is_results(name: &str) -> bool {
    name.starts_with("results_") && name.ends_with(".json")
}

/// Whether a file name is that of a samples file.
pub fn is_samples(name: &str) -> bool {
    name.starts_with("samples_") && name.ends_with(".jsonl")
}

/// Reads the only run of a folder.
pub fn read_folder(folder: &Path, tasks: &[Task]) -> Result<ForeignRun, ForeignError> {
    let results: Vec<String> = names_in(folder).into_iter().filter(|name| is_results(name)).collect();
    match results.as_slice() {
        [one] => read_results(&folder.join(one), tasks),
        [] => Err(ForeignError::new(
            format!("{}: no results_*.json in it, or in several folders below it", folder.display()),
            "give the results_*.json of the run that is meant",
        )),
        [first, .., last] => Err(ForeignError::new(
            format!("{}: {} results files, from {first} to {last}", folder.display(), results.len()),
            "give the results_*.json of the run that is meant",
        )),
    }
}

/// Reads the run of a results file.
pub fn read_results(path: &Path, tasks: &[Task]) -> Result<ForeignRun, ForeignError> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
    let results: Value = serde_json::from_str(&text).map_err(|error| damaged(path, 0, &error))?;
    let (Some(configs), Some(scores)) = (results["configs"].as_object(), results["results"].as_object())
    else {
        return Err(ForeignError::new(
            format!(
                "{}: no `configs` and `results`, as lm-evaluation-harness 0.4 writes them",
                path.display()
            ),
            "give its results_*.json, or a folder with *_write_out_info.json of the harness before it",
        ));
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let date = stem.rsplit_once('_').map(|(_, date)| date.to_string()).unwrap_or_default();
    let mut run = ForeignRun {
        name: name_of(&results).unwrap_or_else(|| folder.display().to_string()),
        dtype: results["config"]["model_dtype"]
            .as_str()
            .map(|dtype| dtype.trim_start_matches("torch.").to_string()),
        add_bos_token: add_bos_token(&results),
        chat: chat_of(&results),
        ..ForeignRun::default()
    };
    if run.add_bos_token.is_none() {
        run.notes.push(
            "whether the beginning-of-text token stood before its texts is not recorded: its tokenizer decided (`add_bos_token`)".to_string(),
        );
    }
    if let Some(version) = results["lm_eval_version"].as_str() {
        run.notes.push(format!("computed by lm-evaluation-harness {version}"));
    }
    let mut unknown = Vec::new();
    for (name, config) in configs {
        let mut task = ForeignTask {
            name: name.clone(),
            shots: results["n-shot"][name].as_u64().map(|n| n as usize),
            available: results["n-samples"][name]["original"].as_u64().map(|n| n as usize),
            until: until_of(&config["generation_kwargs"]["until"]),
            scores: scores.get(name).and_then(Value::as_object).map(own_scores).unwrap_or_default(),
            ..ForeignTask::default()
        };
        if !tasks.iter().any(|known| known.is_known_as(name)) {
            unknown.push(name.as_str());
            continue;
        }
        let file = samples_of(folder, name, &date, path)?;
        task.file = file.display().to_string();
        read_samples(&file, &mut task)?;
        check(&mut task)?;
        let asked = results["n-samples"][name]["effective"].as_u64();
        if asked.is_some_and(|asked| asked != task.documents.len() as u64) {
            return Err(ForeignError::new(
                format!(
                    "{}: {} documents, {} says {}",
                    task.file,
                    task.documents.len(),
                    path.display(),
                    asked.unwrap_or_default()
                ),
                "the file is cut off, or of another run: write it again",
            ));
        }
        check_means(&task, path)?;
        run.tasks.push(task);
    }
    if run.tasks.is_empty() {
        return Err(ForeignError::new(
            format!("{}: none of its {} tasks is known here", path.display(), configs.len()),
            "`assay tasks` lists those that are; a task file says by `known_as` what others call it",
        ));
    }
    if !unknown.is_empty() {
        run.notes.push(format!("left out, being no tasks here: {}", unknown.join(", ")));
    }
    Ok(run)
}

/// Chat template and system instruction, which versions since 0.4.3 record.
fn chat_of(results: &Value) -> BTreeMap<String, String> {
    if results.get("chat_template").is_none() {
        return BTreeMap::new();
    }
    let multiturn = results["fewshot_as_multiturn"] == true;
    chat_facts(results["chat_template"].as_str(), multiturn, results["system_instruction"].as_str())
}

/// The model's name; of a local path, its last part.
fn name_of(results: &Value) -> Option<String> {
    let arguments = &results["config"]["model_args"];
    // Earlier versions store them as they were typed.
    let typed =
        arguments.as_str().and_then(|typed| typed.split(',').find_map(|one| one.strip_prefix("pretrained=")));
    let name = arguments["pretrained"].as_str().or(typed).or(results["model_name"].as_str())?;
    let last = name.trim_end_matches('/');
    // A local path starts with `/`, `.` or `~` or has several slashes; a name on the hub has one.
    if last.starts_with(['/', '.', '~']) || last.matches('/').count() > 1 {
        last.rsplit('/').next().map(str::to_string)
    } else {
        Some(last.to_string())
    }
}

/// `add_bos_token` of its `model_args`: an object, or earlier the text as it was typed.
fn add_bos_token(results: &Value) -> Option<bool> {
    let arguments = &results["config"]["model_args"];
    let value = &arguments["add_bos_token"];
    let typed = || arguments.as_str()?.split(',').find_map(|one| one.trim().strip_prefix("add_bos_token="));
    let word = value.as_str().or_else(typed);
    match word.map(|word| word.trim().to_lowercase()).as_deref() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => value.as_bool(),
    }
}

fn until_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_string)).collect(),
        _ => None,
    }
}

/// Scores by metric, as samples name them.
fn own_scores(entry: &Map<String, Value>) -> BTreeMap<String, f64> {
    let scores = entry.iter().filter(|(key, _)| key.contains(',') && !key.contains("_stderr"));
    scores
        .filter_map(|(key, value)| {
            Some((key.strip_suffix(",none").unwrap_or(key).to_string(), number(value)?))
        })
        .collect()
}

/// The file with a task's samples of the run's own date. Samples of another date are an error.
fn samples_of(folder: &Path, task: &str, date: &str, results: &Path) -> Result<PathBuf, ForeignError> {
    // The harness replaces characters that file names must not contain.
    let as_file: String = task.chars().map(|c| if "\"<>:/|\\?*[]".contains(c) { '_' } else { c }).collect();
    let own = folder.join(format!("samples_{as_file}_{date}.jsonl"));
    if own.is_file() {
        return Ok(own);
    }
    let prefix = format!("samples_{as_file}_");
    // A date starts with a digit and has no underscore, unlike the rest of a longer task name.
    let is_date = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains('_');
    let others: Vec<String> = names_in(folder)
        .into_iter()
        .filter(|name| is_samples(name) && name.strip_prefix(&prefix).is_some_and(is_date))
        .collect();
    let what = match others.as_slice() {
        [] => format!("{}: no samples of {task} beside it", results.display()),
        [one] => format!("{}: the samples of {task} are of another time: {one}", results.display()),
        [first, second, ..] => {
            format!(
                "{}: several samples of {task}, none of its own time: {first}, {second}",
                results.display()
            )
        }
    };
    Err(ForeignError::new(
        what,
        "run lm_eval with --log_samples, and keep samples_*.jsonl and results_*.json of one run together",
    ))
}

/// Reads documents line by line; a document has one line per filter chain.
fn read_samples(path: &Path, task: &mut ForeignTask) -> Result<(), ForeignError> {
    let mut file = open(path)?;
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(path, &error))? == 0 {
            break;
        }
        let fault = |what: String| {
            ForeignError::new(
                format!("{}:{number}: {what}", path.display()),
                "the file is cut off, damaged, or of another version: write it again with lm-evaluation-harness 0.4",
            )
        };
        if line.len() as u64 == LONGEST_LINE {
            return Err(fault(format!("a line of more than {LONGEST_LINE} bytes")));
        }
        let sample: Value =
            serde_json::from_slice(&line).map_err(|error| damaged(path, number - 1, &error))?;
        let document = read_sample(&sample, number).map_err(fault)?;
        match places.get(&document.doc_id).map(|&place| &mut task.documents[place]) {
            None => {
                places.insert(document.doc_id, task.documents.len());
                task.documents.push(document);
            }
            Some(known) => {
                if known.asked != document.asked
                    || known.values.keys().any(|key| document.values.contains_key(key))
                {
                    return Err(fault(format!(
                        "document {} stands at line {} too",
                        document.doc_id, known.place
                    )));
                }
                known.values.extend(document.values);
                known.answers.extend(document.answers);
            }
        }
    }
    Ok(())
}

fn read_sample(sample: &Value, place: usize) -> Result<ForeignDocument, String> {
    let doc_id = sample["doc_id"].as_u64().ok_or("no `doc_id`")? as usize;
    let names = sample["metrics"].as_array().ok_or("no `metrics`")?;
    let chain = sample["filter"].as_str().unwrap_or("none");
    let marked = |name: &str| match chain {
        "none" => name.to_string(),
        chain => format!("{name},{chain}"),
    };
    let mut values = BTreeMap::new();
    for name in names.iter().filter_map(Value::as_str) {
        let value = sample.get(name).ok_or_else(|| format!("document {doc_id}: no metric `{name}`"))?;
        if value.is_null() {
            return Err(format!("document {doc_id}: metric `{name}` is null, expected a number"));
        }
        // Other values are for aggregations over several documents, which no metric here has.
        if let Some(value) = number(value) {
            values.insert(marked(name), value);
        }
    }
    let mut answers = BTreeMap::new();
    if let Some(text) = sample["filtered_resps"][0].as_str() {
        answers.insert(chain.to_string(), text.to_string());
    }
    let target = match &sample["target"] {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let asked = asked(&sample["arguments"])
        .ok_or_else(|| format!("document {doc_id}: no `arguments` of requests"))?;
    Ok(ForeignDocument { doc_id, place, asked, values, answers, target })
}

/// See [`request_hash`](super::run::request_hash). Requests are `gen_args_0`, `gen_args_1` and so on.
fn asked(arguments: &Value) -> Option<Fingerprint> {
    let requests = arguments.as_object().filter(|requests| !requests.is_empty())?;
    let mut hasher = Fingerprinter::default();
    for place in 0..requests.len() {
        let request = requests.get(&format!("gen_args_{place}"))?;
        // The argument after the context of a generation is its settings.
        let continuation = request["arg_1"].as_str().unwrap_or_default();
        hasher.part(format!("{}{continuation}", request["arg_0"].as_str()?).as_bytes());
    }
    Some(hasher.finish())
}

/// Checks that the means over the samples equal the scores in the results.
fn check_means(task: &ForeignTask, results: &Path) -> Result<(), ForeignError> {
    for (metric, score) in &task.scores {
        let values: Vec<f64> = task.documents.iter().filter_map(|d| d.values.get(metric).copied()).collect();
        let is_share = values.iter().all(|value| (0.0..=1.0).contains(value));
        // Other metrics may be aggregated by something other than the mean.
        if values.is_empty() || !is_share {
            continue;
        }
        let mean = crate::statistics::mean(&values);
        if (mean - score).abs() > AGREES {
            return Err(ForeignError::new(
                format!(
                    "{}: the mean of `{metric}` is {mean}, {} says {score}",
                    task.file,
                    results.display()
                ),
                "the samples are of another run than the results: keep those of one run together",
            ));
        }
    }
    Ok(())
}

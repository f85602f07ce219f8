//! lm-evaluation-harness before 0.4, as the leaderboard ran it: with `--write_out`,
//! `<task>_write_out_info.json` has one entry per document, in the order of its shuffle.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserializer as _;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::files::{check, damaged, names_in, number, open};
use super::run::{ForeignDocument, ForeignError, ForeignRun, ForeignTask};
use crate::task::Task;
use crate::vocabulary::{Fingerprint, Fingerprinter};

const ENDING: &str = "_write_out_info.json";
/// What that harness appends to the prompt of a generation: the keys of its mapping of settings, joined.
const SETTINGS: &str = "until";

/// Whether a file name is that of such a file.
pub fn is_one(name: &str) -> bool {
    name.ends_with(ENDING)
}

/// Reads all such files in a folder.
pub fn read_folder(folder: &Path, tasks: &[Task]) -> Result<ForeignRun, ForeignError> {
    let names = names_in(folder);
    let files: Vec<PathBuf> =
        names.iter().filter(|name| is_one(name)).map(|name| folder.join(name)).collect();
    read_files(&files, folder, tasks)
}

/// Reads the files of one run, which is named after `place`, since no file names a model.
pub fn read_files(files: &[PathBuf], place: &Path, tasks: &[Task]) -> Result<ForeignRun, ForeignError> {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut run = ForeignRun { name, ..ForeignRun::default() };
    run.notes.push(
        "computed by lm-evaluation-harness before 0.4, in a number format that its files do not say".into(),
    );
    let mut unknown = Vec::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.trim_end_matches(ENDING).to_string();
        let Some(known) = tasks.iter().find(|task| task.is_known_as(&name)) else {
            unknown.push(name);
            continue;
        };
        let mut task = ForeignTask { name, file: file.display().to_string(), ..ForeignTask::default() };
        task.documents = read_list(file, known)?;
        if task.documents.iter().any(|document| !document.answers.is_empty()) {
            task.until = Some(known.generation.until.clone());
        }
        check(&mut task)?;
        run.tasks.push(task);
    }
    if run.tasks.is_empty() {
        return Err(ForeignError::new(
            format!("{}: no task of it is known here", place.display()),
            "`assay tasks` lists those that are; a file is called <task>_write_out_info.json",
        ));
    }
    if !unknown.is_empty() {
        run.notes.push(format!("left out, being no tasks here: {}", unknown.join(", ")));
    }
    Ok(run)
}

/// Reads a file entry by entry: prompts are long, and there are thousands.
fn read_list(path: &Path, task: &Task) -> Result<Vec<ForeignDocument>, ForeignError> {
    let mut reader = serde_json::Deserializer::from_reader(open(path)?);
    let found = reader.deserialize_seq(Entries { task });
    let found = found.and_then(|documents| reader.end().map(|()| documents));
    found.map_err(|error| damaged(path, 0, &error))
}

struct Entries<'a> {
    task: &'a Task,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<ForeignDocument>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut documents: Vec<ForeignDocument> = Vec::new();
        let mut known: HashMap<usize, usize> = HashMap::new();
        while let Some(entry) = entries.next_element::<Map<String, Value>>()? {
            let document = read_entry(&entry, documents.len() + 1, self.task).map_err(A::Error::custom)?;
            if let Some(place) = known.insert(document.doc_id, document.place) {
                let what =
                    format!("document {} is entry {place} and entry {}", document.doc_id, document.place);
                return Err(A::Error::custom(what));
            }
            documents.push(document);
        }
        Ok(documents)
    }
}

fn read_entry(entry: &Map<String, Value>, place: usize, task: &Task) -> Result<ForeignDocument, String> {
    let doc_id =
        entry.get("doc_id").and_then(Value::as_u64).ok_or(format!("entry {place}: no `doc_id`"))? as usize;
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let answer = text("logit_0");
    let asked = asked(entry, answer.is_some(), task);
    let asked = asked.ok_or_else(|| format!("document {doc_id}: no `prompt_0`"))?;
    let mut values = BTreeMap::new();
    for (key, value) in entry {
        let not_metric = ["doc_id", "truth"].contains(&key.as_str())
            || key.starts_with("prompt_")
            || key.starts_with("logit_");
        if let (false, Some(value)) = (not_metric, number(value)) {
            values.insert(key.clone(), value);
        }
    }
    let answers = answer.map(|text| ("none".to_string(), text.to_string())).into_iter().collect();
    let target = match entry.get("truth") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    Ok(ForeignDocument { doc_id, place, asked, values, answers, target })
}

/// See [`request_hash`](super::run::request_hash). A prompt is a context and its continuation in one; a generation's
/// prompt is followed by what is left of its settings.
fn asked(entry: &Map<String, Value>, generated: bool, task: &Task) -> Option<Fingerprint> {
    let mut hasher = Fingerprinter::default();
    for place in 0.. {
        let Some(prompt) = entry.get(&format!("prompt_{place}")) else {
            return (place > 0).then(|| hasher.finish());
        };
        let mut prompt = prompt.as_str()?;
        if generated {
            // Earlier versions took a list of stops instead of a mapping; these are joined.
            let stops = task.generation.until.concat();
            prompt = prompt.strip_suffix(SETTINGS).or(prompt.strip_suffix(&stops)).unwrap_or(prompt);
        }
        hasher.part(prompt.as_bytes());
    }
    None
}
